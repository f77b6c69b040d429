#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a command works on: a server, or a database file directly.
enum Source: Sendable, Hashable {
    case server(ServerAddress)
    case file(String)

    /// - Parameter text: an address or a path; nil for the server of `TABLECAST_URL`, or else ``ServerAddress/default``.
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
    /// For help: where a command goes that no server is given to.
    static let preferredText = "the server in \(variable), or else \(ServerAddress.default)"

    /// The server of the environment, or else ``default``.
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

    /// Takes the server from the arguments `[server] what`, where it may be left out.
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
