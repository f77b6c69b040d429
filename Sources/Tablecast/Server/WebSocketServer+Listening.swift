import Broadcast
public import Logging
public import NIOCore
public import NIOPosix
package import WebSocketTransport
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
            let tls = try configuration.tls.map { try ReloadableTLS($0) }
            let socket = try makeListener(allowsHalfClosure: false, group: group) { [mount] channel in
                channel.eventLoop.makeCompletedFuture {
                    try tls?.install(on: channel)
                    try mount.configure(channel, isSecure: tls != nil)
                }
            }
            listener.listening(socket)
            socket.start { [logger] error in
                if let error { logger.error("the server does not listen any more: \(error)") }
            }
        } catch {
            listener.failed()
            throw error
        }
    }

    /// A listener on the configured address, with the bounds of this server.
    package func makeListener(
        allowsHalfClosure: Bool,
        group: any EventLoopGroup,
        configure: @escaping SocketListener.Configure
    ) throws -> SocketListener {
        let logger = logger
        return try SocketListener(
            host: configuration.host,
            port: configuration.port,
            maxOpen: configuration.maxOpenSockets,
            allowsHalfClosure: allowsHalfClosure,
            group: group,
            report: { logger.warning("\($0)") },
            configure: configure
        )
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
    public var port: Int? { listener.socket?.localAddress.port }

    /// Stops accepting, closes every client with 1001 after what was sent before, and returns when the connections are
    /// gone or the close timeout is over.
    public func stop() async {
        listener.stop()?.stop()
        await closeClients()
    }

    /// Closes every client with 1001 and waits for the connections to end, for the close timeout at most.
    package func closeClients() async {
        closeAllClients()
        let deadline = ContinuousClock.now + configuration.limits.closeTimeout
        // Clients leave one by one, on their event loops; nobody is told when the last one has.
        while mount.clients.value > 0, ContinuousClock.now < deadline {
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
