package import Broadcast
public import Logging
public import NIOCore
import NIOHTTP1
public import NIOPosix
import Synchronization
package import WebSocketTransport
import WireProtocol

/// Sends messages to everybody who listens, over WebSocket: the connections, their channels, who is there.
///
/// A server can listen on a port of its own, as here, or be mounted in another HTTP server; and it can serve a database,
/// as ``TablecastService`` makes it, or broadcast what the application says.
///
/// ```swift
/// let server = try await WebSocketServer.start()
/// server.notifyTableCreated(TableCreatedPayload(tableName: "album"))
/// await server.stop()
/// ```
///
/// Thread-safe; no method blocks. Messages reach every client in the order of the calls.
public final class WebSocketServer: Sendable {
    /// As it was made with.
    public let configuration: ServerConfiguration
    package let hub: Hub
    /// The WebSocket for HTTP servers to mount.
    package let mount: WebSocketMount
    let clients: ClientDirectory
    let tokenSessions = TokenSessions()
    let messageRates: IdentityRates
    let logger: Logger
    package let metrics: ServiceMetrics
    let listener = ListenerState()
    private let database = Mutex<(any DatabaseRequests)?>(nil)
    private let isQuiescing = Atomic<Bool>(false)

    /// - Parameters:
    ///   - configuration: where to listen and whom to let in.
    ///   - logger: for what the operator should know.
    public convenience init(
        configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "tablecast")
    ) {
        self.init(configuration: configuration, start: Position(epoch: Epoch.make(), sequence: 0), logger: logger)
    }

    init(configuration: ServerConfiguration, start: Position, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let metrics = ServiceMetrics()
        self.metrics = metrics
        hub = Hub(start: start, limits: configuration.hubLimits)
        clients = ClientDirectory(hub: hub)
        messageRates = IdentityRates(
            perSecond: configuration.limits.maxMessagesPerSecondOfIdentity,
            burst: configuration.limits.maxMessageBurstOfIdentity
        )
        let reference = WeakServer()
        // Without tokens to check nothing has to wait.
        var authorize: WebSocketMount.Authorize?
        if configuration.authenticator != nil {
            authorize = { request in
                guard let server = reference.server else { return .refuse(.stopping) }
                return await server.authorize(request)
            }
        }
        mount = WebSocketMount(
            policy: configuration.upgradePolicy,
            limits: configuration.webSocketLimits,
            admission: configuration.admission,
            authorize: authorize,
            observer: ConnectionLog(logger: logger, metrics: metrics),
            onQuiesce: { reference.server?.quiesce() }
        ) { request, connection throws(UpgradeRefusal) in
            guard let server = reference.server else { throw .stopping }
            return try server.session(for: request, of: .anonymous, on: connection)
        }
        reference.server = self
        if case .sameAnd(let origins) = configuration.origins {
            for origin in origins where WebOrigin(origin) == nil {
                logger.error("the allowed origin \(quoted(origin)) can be no page's: expected \(WebOrigin.expectation)")
            }
        }
        for proxy in configuration.trustedProxies where AddressRange(proxy) == nil {
            logger.error("the trusted proxy \(quoted(proxy)) is not trusted: expected \(AddressRange.expectation)")
        }
    }

    /// Connects the database's side; once, before clients come.
    func serve(_ requests: any DatabaseRequests) { database.withLock { $0 = requests } }

    var databaseRequests: (any DatabaseRequests)? { database.withLock { $0 } }

    /// The HTTP server that the server is mounted in shuts down gracefully and waits for its connections: queries are
    /// cancelled, then every WebSocket is closed with 1001 and every event stream ends. Happens once.
    private func quiesce() {
        guard !isQuiescing.exchange(true, ordering: .relaxed) else { return }
        logger.debug("closing all clients: the HTTP server shuts down")
        Task {
            await databaseRequests?.endQueries()
            closeAllClients()
        }
    }

    /// How many clients are connected now, over a WebSocket or an event stream.
    public var clientCount: Int { hub.statistics.clients }

    /// What `connection:ack` says of the service.
    var serverInfo: ServerInfo {
        var capabilities = ["broadcast", "presence"]
        if databaseRequests != nil { capabilities += ["tables", "queries", "resume", "snapshot"] }
        return ServerInfo(version: TablecastVersion.current, capabilities: capabilities)
    }
}

/// The way from a mount, which an HTTP server may keep for longer, back to the server that owns it.
private final class WeakServer: Sendable {
    private let reference = Mutex<Weak>(Weak())

    private struct Weak: Sendable {
        weak var server: WebSocketServer?
    }

    var server: WebSocketServer? {
        get { reference.withLock { $0.server } }
        set { reference.withLock { $0.server = newValue } }
    }
}

/// Names an unbroken run of transactions.
enum Epoch {
    /// Twelve random characters: no two runs ever have the same.
    static func make() -> String {
        let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        return String((0..<12).map { _ in alphabet[Int.random(in: alphabet.indices)] })
    }
}

public enum TablecastVersion {
    /// The version of the library and the command.
    public static let current = "0.1.0"
}

extension WebSocketServer {
    /// Judges whether the program behind an HTTP request may speak to this server at all: the host that it names, and the
    /// page that it says it comes from. Where the server listens is what ``ServerConfiguration/host`` says.
    package func admit(host: String?, origin: String?, isSecure: Bool) throws(UpgradeRefusal) {
        var headers = HTTPHeaders()
        if let host { headers.add(name: "Host", value: host) }
        if let origin { headers.add(name: "Origin", value: origin) }
        try mount.policy.check(headers, isSecure: isSecure)
    }
}

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

/// Whether a server listens, and on what. Thread-safe.
final class ListenerState: Sendable {
    private enum State {
        case stopped
        case starting
        case listening(SocketListener)
    }

    private let state = Mutex(State.stopped)

    var socket: SocketListener? {
        state.withLock { if case .listening(let socket) = $0 { socket } else { nil } }
    }

    /// False when it has begun already.
    func begin() -> Bool {
        state.withLock { state in
            guard case .stopped = state else { return false }
            state = .starting
            return true
        }
    }

    func listening(_ socket: SocketListener) { state.withLock { $0 = .listening(socket) } }
    func failed() { state.withLock { $0 = .stopped } }

    func stop() -> SocketListener? {
        state.withLock { state in
            guard case .listening(let socket) = state else { return nil }
            state = .stopped
            return socket
        }
    }
}
