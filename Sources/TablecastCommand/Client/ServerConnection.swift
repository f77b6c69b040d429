import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import WebSocketTransport
import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Opens connections to a server, and reports clear errors when that fails.
struct ServerConnection: Sendable {
    /// Messages from the server are larger than those to it: a batch of rows, or of changes.
    static let maxMessageBytes = 64 << 20

    var address: ServerAddress
    var options: ConnectionOptions

    /// Throws only ``CommandFailure``; typed throws here make the compiler of Swift 6.3.1 crash in a caller's loop.
    func open() async throws -> WebSocketConnection {
        var limits = WebSocketLimits()
        limits.maxMessageBytes = Self.maxMessageBytes
        let verification: CertificateVerification = options.insecure ? .none : .fullVerification
        do {
            let client = WebSocketClient(
                limits: limits,
                headers: options.bearerToken.map { ["Authorization": "Bearer \($0)"] } ?? [:],
                makeTLS: { try Self.tls(host: $0, verification) }
            )
            return try await client.connect(to: WebSocketURL(url))
        } catch {
            throw failure(error)
        }
    }

    private var url: String {
        guard let username = options.username else { return address.description }
        return "\(address)\(address.path.contains("?") ? "&" : "?")username=\(Self.percentEncoded(username))"
    }

    static func tls(host: String, _ verification: CertificateVerification) throws -> any ChannelHandler {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = verification
        let context = try NIOSSLContext(configuration: configuration)
        // A certificate names hosts; an IP address cannot be sent as the server's name (RFC 6066 section 3).
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }

    static func percentEncoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            if byte < 0x80, scalar.properties.isAlphabetic || scalar.properties.numericType != nil || byte == 0x2D {
                result.unicodeScalars.append(scalar)
            } else {
                result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }

    func failure(_ error: any Error) -> CommandFailure {
        switch error {
        case let error as WebSocketClientError:
            switch error {
            case .invalidURL: CommandFailure(.usage, "\(error)")
            case .refused(401, _):
                CommandFailure(
                    .noPermission,
                    "\(address): \(error)",
                    advice: "Set a valid token with TABLECAST_TOKEN or --token."
                )
            case .refused(403, _): CommandFailure(.noPermission, "\(address): \(error)")
            case .refused(503, _): CommandFailure(.unavailable, "\(address): \(error)")
            case .refused, .invalidHandshake:
                CommandFailure(
                    .protocolError,
                    "\(address): \(error)",
                    advice: "Check that it is a Tablecast server and that the path is right."
                )
            case .timedOut, .connectionLost, .closed, .tlsUnavailable:
                CommandFailure(.unavailable, "\(address): \(error)")
            }
        case is NIOSSLError, is BoringSSLError:
            tlsFailure("\(error)")
        case let error as IOError where error.errnoCode == ECONNRESET:
            CommandFailure(
                .unavailable,
                "\(address): the server closed the connection",
                advice: address.isSecure ? nil : "The server may expect wss instead of ws."
            )
        default:
            CommandFailure(
                .unavailable,
                "\(address) cannot be reached: \(Self.reason(error))",
                advice: "Check that the server is running. Start one with: tablecast serve my.db"
            )
        }
    }

    private func tlsFailure(_ reason: String) -> CommandFailure {
        // BoringSSL has no type for this error.
        if reason.contains("CERTIFICATE_VERIFY_FAILED") {
            return CommandFailure(
                .unavailable,
                "\(address): the certificate is not trusted",
                advice: "For a test server of your own, --insecure accepts any certificate."
            )
        }
        return CommandFailure(
            .unavailable,
            "\(address): TLS failed: \(reason)",
            advice: "The server may expect ws instead of wss."
        )
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? IOError { return SystemError.message(error.errnoCode) }
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        if let failure = error.connectionErrors.first?.error { return reason(failure) }
        return "unknown host '\(error.host)'"
    }
}

/// The messages that the commands send.
enum ClientRequest {
    static func subscribe(to channel: MessageChannel, data: [String: JSONValue] = [:]) -> [UInt8] {
        message([
            "id": .string(channel.rawValue), "type": "subscribe", "channel": .string(channel.rawValue),
            "data": .object(data),
        ])
    }

    static func execute(queryID: String, _ data: [String: JSONValue]) -> [UInt8] {
        let identified = data.merging(["queryId": .string(queryID)]) { _, new in new }
        return message(["id": .string(queryID), "type": "query:execute", "data": .object(identified)])
    }

    static func follow(id: String, _ data: [String: JSONValue]) -> [UInt8] {
        message(["id": .string(id), "type": "query:subscribe", "data": .object(data)])
    }

    static func cancel(queryID: String) -> [UInt8] {
        message(["type": "query:cancel", "data": ["queryId": .string(queryID)]])
    }

    private static func message(_ fields: [String: JSONValue]) -> [UInt8] {
        var writer = JSONWriter()
        writer.value(.object(fields))
        return writer.bytes
    }
}
