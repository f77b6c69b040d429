package import NIOCore
package import NIOHTTP1
import NIOPosix

/// A WebSocket client for the command line and for tests: the same frame layer as the server's, in the client's role.
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

    /// Message size, heartbeat, and the time for the handshake.
    package var limits: WebSocketLimits
    /// Beyond those of the handshake: `Authorization`, `Origin`.
    package var headers: HTTPHeaders
    package var subprotocols: [String]
    /// Whether to offer permessage-deflate for what the server sends.
    package var offersCompression: Bool
    package var makeTLS: MakeTLS?
    package var group: any EventLoopGroup

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
    /// - Throws: ``WebSocketClientError``, or NIO's errors of a connection that cannot be made.
    package func connect(to url: WebSocketURL) async throws -> WebSocketConnection {
        if url.isSecure && makeTLS == nil { throw WebSocketClientError.tlsUnavailable }
        let eventLoop = group.next()
        let opened = eventLoop.makePromise(of: WebSocketConnection.self)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(limits.handshakeTimeout)
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
