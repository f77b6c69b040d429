package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import WebSocketTransport
package import WireProtocol

/// A client of a Tablecast server over WebSocket: changes with resume, queries, and live queries.
///
/// ```swift
/// let client = try TablecastClient("ws://127.0.0.1:3001/ws")
/// for try await row in client.query("SELECT name FROM genre WHERE genre_id < ?", [.integer(3)]) {
///     print(row["name"] ?? .null)
/// }
/// for try await event in try client.changes(of: ["album", "artist"]) {
///     guard case .message(let message) = event else { continue }
///     if case .tableModified(let change) = message.envelope.payload { print(change.tableName) }
/// }
/// ```
///
/// A value without state: every sequence has a connection of its own, which is opened by its first `next()` and closed
/// when the iterator is released. So a slow reader delays no other client: it stops reading from its socket, and eventually
/// the server stops sending. ``connect()`` opens a connection for anything else, such as a transaction of several
/// requests. Thread-safe; a method can be called from any task.
public struct TablecastClient: Sendable {
    /// The access token; nil for a server that requires none.
    public var token: String?
    /// The name of this client for other clients.
    public var username: String?
    /// Accepts any certificate of a `wss` server, for tests with a self-signed one.
    public var acceptsAnyCertificate = false
    /// A PEM file of the certificates to trust instead of the system's.
    public var trustedCertificates: String?
    /// Bytes of the largest message from the server: a batch of rows, or of changes. 64 MiB.
    public var maxMessageBytes = 64 << 20
    /// The interval between pings; a server that is silent over two of them is disconnected. 30 seconds.
    public var heartbeatInterval = Duration.seconds(30)
    /// The time for the TCP connection, and for the TLS and WebSocket handshake. 10 seconds.
    public var connectTimeout = Duration.seconds(10)
    /// The longest wait between two attempts to connect again. 15 seconds.
    public var maxReconnectWait = Duration.seconds(15)

    /// Further headers of the handshake.
    package var headers: [(name: String, value: String)] = []
    /// Where connections run; nil for the event loops of the process.
    package var group: (any EventLoopGroup)?
    /// Receives the messages instead of ``ClientConnection/messages``, which then only end: on the connection's event loop, without
    /// the wake-ups of a task. False closes the connection. The first one can come before ``connect()`` returns.
    package var receive: (@Sendable (Result<Envelope, TablecastClientError>) -> Bool)?

    private let url: WebSocketURL

    /// - Parameters:
    ///   - address: of the WebSocket, such as `ws://127.0.0.1:3001/ws` or `wss://db.example.com/ws`.
    ///   - token: the access token; it is sent in a header.
    /// - Throws: ``TablecastClientError/Code/invalidAddress``.
    public init(_ address: String, token: String? = nil) throws(TablecastClientError) {
        do {
            url = try WebSocketURL(address)
        } catch {
            throw TablecastClientError(connecting: error)
        }
        self.token = token
    }

    /// The address.
    public var address: String { url.description }

    /// Opens a connection. Its first message is the server's greeting, `connection:ack`.
    public func connect() async throws(TablecastClientError) -> ClientConnection {
        var limits = WebSocketLimits()
        limits.maxMessageBytes = maxMessageBytes
        limits.heartbeatInterval = heartbeatInterval > .zero ? heartbeatInterval : nil
        limits.handshakeTimeout = connectTimeout
        let tls = ClientTLS(acceptsAnyCertificate: acceptsAnyCertificate, trustedCertificates: trustedCertificates)
        do {
            var client = WebSocketClient(
                limits: limits,
                headers: HTTPHeaders(headers + (token.map { [("Authorization", "Bearer \($0)")] } ?? [])),
                makeTLS: { try tls.handler(host: $0) },
                group: group ?? MultiThreadedEventLoopGroup.singleton
            )
            if let receive {
                client.receive = { text in
                    let json = text.readableBytesView
                    return receive(Result { () throws(TablecastClientError) in try Envelope(received: json) })
                }
            }
            return ClientConnection(try await client.connect(to: try target()))
        } catch {
            throw TablecastClientError(connecting: error)
        }
    }

    private func target() throws(WebSocketClientError) -> WebSocketURL {
        guard let username else { return url }
        return try WebSocketURL("\(url)\(url.target.contains("?") ? "&" : "?")username=\(username.percentEncoded)")
    }

    /// Cancels a query of the same identity, or of any identity for an administrator; returns when the server has
    /// received the request.
    ///
    /// - Throws: `requestFailed` with the error code `QUERY_NOT_FOUND` when no such query is queued or running.
    public func cancel(queryID: String) async throws(TablecastClientError) {
        let connection = try await connect()
        var messages = connection.messages.makeAsyncIterator()
        try await connection.send(ClientMessage(id: "cancel", .cancelQuery(id: queryID)))
        // A cancellation has no answer of its own; answers come in the order of requests.
        try await connection.send(ClientMessage(id: "done", .heartbeat()))
        while let message = try await messages.next() {
            switch message.envelope.header.replyTo {
            case "cancel":
                guard case .error(let error) = message.envelope.payload else { continue }
                await connection.close()
                throw TablecastClientError(error)
            case "done":
                await connection.close()
                return
            default: continue
            }
        }
        throw await connection.failure
    }
}

/// The client's side of TLS.
package struct ClientTLS: Sendable {
    package var acceptsAnyCertificate: Bool
    package var trustedCertificates: String?

    package init(acceptsAnyCertificate: Bool, trustedCertificates: String? = nil) {
        self.acceptsAnyCertificate = acceptsAnyCertificate
        self.trustedCertificates = trustedCertificates
    }

    package func handler(host: String) throws -> any ChannelHandler {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = acceptsAnyCertificate ? .none : .fullVerification
        if let trustedCertificates { configuration.trustRoots = .file(trustedCertificates) }
        let context = try NIOSSLContext(configuration: configuration)
        // A certificate names hosts; an IP address cannot be sent as the server's name (RFC 6066 section 3).
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }
}

extension String {
    /// With every byte but ASCII letters, digits and `-` as `%XX` (RFC 3986 section 2.1).
    package var percentEncoded: String {
        var result = ""
        for byte in utf8 {
            let scalar = Unicode.Scalar(byte)
            if byte < 0x80, scalar.properties.isAlphabetic || scalar.properties.numericType != nil || byte == 0x2D {
                result.unicodeScalars.append(scalar)
            } else {
                result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
