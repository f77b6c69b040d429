package import NIOCore
package import NIOHTTP1
import NIOPosix

/// A WebSocket client for the command line and for tests: the server's frame layer, in the client's role.
///
///     let connection = try await WebSocketClient().connect(to: WebSocketURL("ws://127.0.0.1:3001/ws?channels=tables"))
///     try await connection.send(#"{"type":"subscribe","channel":"queries"}"#)
///     for await message in connection.messages {
///         print(message)
///     }
///     print(await connection.status.code)
package struct WebSocketClient: Sendable {
    /// Makes the TLS handler for a connection to `host`, for `wss://`.
    package typealias MakeTLS = @Sendable (_ host: String) throws -> any ChannelHandler
    /// Takes a text message on the connection's event loop, which reads nothing meanwhile; false closes the connection, and nothing
    /// more is received.
    package typealias Receive = @Sendable (_ text: ByteBuffer) -> Bool

    /// Message size, heartbeat, and the time for the handshake.
    package var limits: WebSocketLimits
    /// Headers in addition to those of the handshake: `Authorization`, `Origin`.
    package var headers: HTTPHeaders
    package var subprotocols: [String]
    /// Whether to offer permessage-deflate for the server's messages.
    package var offersCompression: Bool
    package var makeTLS: MakeTLS?
    package var group: any EventLoopGroup
    /// Receives the text messages instead of ``WebSocketConnection/messages``, which then only end: without the wake-ups of a task.
    /// The first one can come before ``connect(to:)`` returns.
    package var receive: Receive?

    package init(
        limits: WebSocketLimits = WebSocketLimits(),
        headers: HTTPHeaders = [:],
        subprotocols: [String] = [UpgradePolicy.subprotocol],
        offersCompression: Bool = false,
        makeTLS: MakeTLS? = nil,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.limits = limits
        self.headers = headers
        self.subprotocols = subprotocols
        self.offersCompression = offersCompression
        self.makeTLS = makeTLS
        self.group = group
    }

    /// Connects and does the opening handshake.
    ///
    /// - Throws: ``WebSocketClientError``, or NIO's connection errors.
    package func connect(to url: WebSocketURL) async throws -> WebSocketConnection {
        if url.isSecure && makeTLS == nil { throw WebSocketClientError.tlsUnavailable }
        let eventLoop = group.next()
        let opened = eventLoop.makePromise(of: WebSocketConnection.self)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(limits.handshakeTimeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try self.setUp(channel, url, opened)
                }
            }
        do {
            _ = try await bootstrap.connect(host: url.host, port: url.port).get()
        } catch {
            opened.fail(error)
        }
        return try await opened.futureResult.get()
    }

    private func setUp(
        _ channel: any Channel,
        _ url: WebSocketURL,
        _ opened: EventLoopPromise<WebSocketConnection>
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if url.isSecure, let makeTLS {
            try pipeline.addHandler(try makeTLS(url.host))
        }
        try ReadAllocator.install(on: channel)
        try pipeline.addHandler(ClientHandshakeHandler(client: self, url: url, channel: channel, opened: opened))
    }
}

/// The address of a WebSocket: `ws://host:port/path?query`, or `wss://` over TLS.
package struct WebSocketURL: Sendable, Hashable, CustomStringConvertible {
    package let isSecure: Bool
    /// A name or an address; an IPv6 address without its brackets.
    package let host: String
    package let port: Int
    /// Path and query, as in the request line.
    package let target: String

    /// Parses `ws` and `wss` addresses, and for convenience `http` and `https`.
    ///
    /// - Throws: ``WebSocketClientError/invalidURL(_:expected:)``
    package init(_ text: String) throws(WebSocketClientError) {
        func invalid(_ expected: String) -> WebSocketClientError { .invalidURL(text, expected: expected) }
        guard let schemeEnd = text.firstRange(of: "://") else {
            throw invalid("an address that begins with ws:// or wss://")
        }
        switch text[..<schemeEnd.lowerBound].lowercased() {
        case "ws", "http": isSecure = false
        case "wss", "https": isSecure = true
        default: throw invalid("the scheme ws or wss")
        }
        let rest = text[schemeEnd.upperBound...].prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw invalid("no user name in the address") }
        var port = Substring()
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw invalid("a ']' after the IPv6 address") }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            port = authority[authority.index(after: end)...]
        } else {
            let end = authority.firstIndex(of: ":") ?? authority.endIndex
            host = String(authority[..<end])
            port = authority[end...]
        }
        guard !host.isEmpty else { throw invalid("a host name") }
        if port.isEmpty {
            self.port = isSecure ? 443 : 80
        } else if port.hasPrefix(":"), let number = Int(port.dropFirst()), (1...65_535).contains(number) {
            self.port = number
        } else {
            throw invalid("a port from 1 to 65535")
        }
        let path = rest[authority.endIndex...]
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw invalid("a path of printable ASCII characters, others percent-encoded")
        }
        target = path.hasPrefix("/") ? String(path) : "/\(path)"
    }

    /// The value of the `Host` header, with the port only if it is not the scheme's default.
    var hostHeader: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    package var description: String { "\(isSecure ? "wss" : "ws")://\(hostHeader)\(target)" }
}

/// Why a client has no connection, or no longer has one.
package enum WebSocketClientError: Error, Sendable, Hashable, CustomStringConvertible {
    case invalidURL(String, expected: String)
    /// The server answered, but not with a WebSocket: the HTTP status and the text of the response.
    case refused(status: Int, reason: String)
    /// The server's answer to the handshake breaks RFC 6455.
    case invalidHandshake(String)
    /// No answer within the handshake's time.
    case timedOut
    /// The server ended the connection during the handshake.
    case connectionLost
    /// The connection has ended; nothing can be sent.
    case closed(CloseStatus)
    /// `wss://` without a TLS handler.
    case tlsUnavailable

    package var description: String {
        switch self {
        case .invalidURL(let text, let expected): "'\(text)' is not a WebSocket address: expected \(expected)"
        case .refused(let status, let reason):
            "the server refused the connection with HTTP status \(status)\(reason.isEmpty ? "" : ": \(reason)")"
        case .invalidHandshake(let reason): "the server's handshake is not valid: \(reason)"
        case .timedOut: "the server did not answer the handshake in time"
        case .connectionLost: "the server ended the connection during the handshake"
        case .closed(let status):
            "the connection was closed with code \(status.code)\(status.reason.isEmpty ? "" : ": \(status.reason)")"
        case .tlsUnavailable: "wss:// needs a TLS handler, and none was given"
        }
    }
}
