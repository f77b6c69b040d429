#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The target of a command: a server, or a database file.
enum Source: Sendable, Hashable {
    case server(ServerAddress)
    case file(String)

    /// - Parameter text: an address or a path; nil for the server in `TABLECAST_URL`, or otherwise
    ///   ``ServerAddress/default``.
    init(_ text: String?) throws(CommandFailure) {
        guard let text else {
            self = .server(try .preferred())
            return
        }
        self = ServerAddress.looksLikeAddress(text) ? .server(try ServerAddress(parsing: text)) : .file(text)
    }

    static func isFile(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

extension ServerAddress {
    static let variable = "TABLECAST_URL"
    /// For help texts: the server that a command uses by default.
    static let preferredText = "the server in \(variable), or else \(ServerAddress.default)"

    /// The server from the environment, otherwise ``default``.
    static func preferred() throws(CommandFailure) -> ServerAddress {
        guard let text = Environment.value(variable) else { return .default }
        do {
            return try ServerAddress(parsing: text)
        } catch {
            var failure = error
            failure.message = "\(variable): \(error.message)"
            throw failure
        }
    }

    /// Splits the arguments `[server] what`, in which the server is optional.
    static func split(_ arguments: [String]) throws(CommandFailure) -> (server: ServerAddress, rest: String) {
        guard arguments.count == 2 else { return (try preferred(), arguments.last ?? "") }
        guard looksLikeAddress(arguments[0]) else {
            throw CommandFailure(
                .usage,
                "'\(arguments[0])' is not a server address",
                advice: "Expected an address such as ws://127.0.0.1:3001/ws, wss://db.example.com or 127.0.0.1:3001."
            )
        }
        return (try ServerAddress(parsing: arguments[0]), arguments[1])
    }
}
