import Broadcast
public import Logging
public import NIOCore
public import NIOPosix
import NIOSSL
import WebSocketTransport
import WireProtocol

/// Listening on a port of its own, with SwiftNIO alone.
extension WebSocketServer {
    /// Makes a server and starts it.
    public static func start(
        configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "tablecast")
    ) async throws -> WebSocketServer {
        let server = WebSocketServer(configuration: configuration, logger: logger)
        try await server.start()
        return server
    }

    /// Listens on the configured host and port.
    ///
    /// - Throws: ``ServerError/alreadyStarted``, what the system says about the address (`EADDRINUSE`), or
    ///   ``TLSFilesError``.
    public func start(on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton) async throws {
        guard listener.begin() else { throw ServerError.alreadyStarted }
        do {
            let tls = try configuration.tls.map { try NIOSSLContext(configuration: $0.tlsConfiguration()) }
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { [mount] channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                        try mount.configure(channel, isSecure: tls != nil)
                    }
                }
                .bind(host: configuration.host, port: configuration.port)
                .get()
            listener.listening(channel)
        } catch {
            listener.failed()
            throw error
        }
    }

    /// Makes a connection of the application's own SwiftNIO server one of this server: call it in the child channel's
    /// initializer, behind a TLS handler if there is one. Requests that are none for the WebSocket are refused.
    ///
    /// ```swift
    /// let channel = try await ServerBootstrap(group: group)
    ///     .childChannelInitializer { channel in
    ///         channel.eventLoop.makeCompletedFuture { try server.configure(channel) }
    ///     }
    ///     .bind(host: "127.0.0.1", port: 3001).get()
    /// ```
    public func configure(_ channel: any NIOCore.Channel, isSecure: Bool = false) throws {
        try mount.configure(channel, isSecure: isSecure)
    }

    /// The port that the server listens on; nil when it does not.
    public var port: Int? { listener.channel?.localAddress?.port }

    /// Stops accepting, closes every client with 1001 after what was sent before, and returns when the connections are
    /// gone or the close timeout is over.
    public func stop() async {
        if let channel = listener.stop() {
            try? await channel.close()
        }
        await closeClients()
    }

    /// Closes every client with 1001 and waits for the connections to end, for the close timeout at most.
    package func closeClients() async {
        closeAllClients()
        let deadline = ContinuousClock.now + configuration.limits.closeTimeout
        // Clients leave one by one, on their event loops; nobody is told when the last one has.
        while mount.connections.value > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Closes every client with 1001 behind what was sent to it before. Returns at once.
    func closeAllClients() { hub.closeEveryone(.goingAway, reason: "the server is going away") }
}

/// Why a ``WebSocketServer`` cannot be started.
public enum ServerError: Error, Sendable, Hashable {
    /// It listens already, or is about to.
    case alreadyStarted
}
