import TablecastClient
import WireProtocol

/// Opens connections to a server, and reports clear errors when that fails.
struct ServerConnection: Sendable {
    var address: ServerAddress
    var options: ConnectionOptions

    /// The client of this server, with the options of the command line.
    func client() throws(CommandFailure) -> TablecastClient {
        do {
            var client = try TablecastClient("\(address)", token: options.bearerToken)
            client.username = options.username
            client.acceptsAnyCertificate = options.insecure
            return client
        } catch {
            throw failure(error)
        }
    }

    func open() async throws(CommandFailure) -> ClientConnection {
        let client = try client()
        do throws(TablecastClientError) {
            return try await client.connect()
        } catch {
            throw failure(error)
        }
    }

    func failure(_ error: any Error) -> CommandFailure {
        let error = TablecastClientError(connecting: error)
        return switch error.code {
        case .invalidAddress: CommandFailure(.usage, "\(error)")
        case .connectionRefused where error.httpStatus == 401:
            CommandFailure(
                .noPermission,
                "\(address): \(error)",
                advice: "Set a valid token with TABLECAST_TOKEN or --token."
            )
        case .connectionRefused where error.httpStatus == 403: CommandFailure(.noPermission, "\(address): \(error)")
        case .connectionRefused where error.isTransient: CommandFailure(.unavailable, "\(address): \(error)")
        case .connectionRefused, .protocolViolation:
            CommandFailure(
                .protocolError,
                "\(address): \(error)",
                advice: "Check that it is a Tablecast server and that the path is right."
            )
        case .untrustedCertificate:
            CommandFailure(
                .unavailable,
                "\(address): \(error)",
                advice: "For a test server of your own, --insecure accepts any certificate."
            )
        case .tlsFailed:
            CommandFailure(
                .unavailable,
                "\(address): \(error)",
                advice: "The server may expect ws instead of wss."
            )
        case .disconnected: disconnected(error)
        case .requestFailed: CommandFailure(ExitReason(error.errorCode), Self.refusal(error))
        default:
            CommandFailure(
                .unavailable,
                "\(address) cannot be reached: \(error)",
                advice: "Check that the server is running. Start one with: tablecast serve my.db"
            )
        }
    }

    private func disconnected(_ error: TablecastClientError) -> CommandFailure {
        guard error.isTransient else {
            let isForbidden = [.unauthorized, .forbidden].contains(error.closeCode.map(CloseCode.init))
            return CommandFailure(isForbidden ? .noPermission : .protocolError, "\(address): \(error)")
        }
        return CommandFailure(
            .unavailable,
            "\(address): \(error)",
            advice: address.isSecure ? nil : "The server may expect wss instead of ws."
        )
    }

    /// The server's answer to a request of the command.
    private static func refusal(_ error: TablecastClientError) -> String {
        "the server refused: \(error.message)\(error.errorCode.map { " (\($0))" } ?? "")"
    }
}
