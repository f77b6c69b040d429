package import Broadcast
public import Logging
public import NIOCore
import NIOHTTP1
public import NIOPosix
import Synchronization
package import WebSocketTransport
package import WireProtocol

/// Sends messages to subscribed clients over WebSocket: the connections, their channels, and presence.
///
/// A server can listen on its own port, as here, or be mounted in another HTTP server; and it can serve a database, as
/// ``TablecastService`` does, or broadcast the application's messages.
///
/// ```swift
/// let server = try await WebSocketServer.start()
/// server.notifyTableCreated(TableCreatedPayload(tableName: "album"))
/// await server.stop()
/// ```
///
/// Thread-safe; no method blocks. Messages reach every client in the order of the calls.
public final class WebSocketServer: Sendable {
    /// The configuration with which it was created.
    public let configuration: ServerConfiguration
    package let hub: Hub
    /// The WebSocket for HTTP servers to mount.
    package let mount: WebSocketMount
    let clients: ClientDirectory
    let connections = ConnectionRegistry()
    let pendingResumptions = PendingResumptions()
    let messageRates: IdentityRates
    let logger: Logger
    package let metrics: ServiceMetrics
    let listener = ListenerState()
    private let database = Mutex<(any DatabaseRequests)?>(nil)
    /// The row rules that were compared with the database.
    let ruleTexts = Mutex<Set<String>>([])
    private let isQuiescing = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)
    /// Why the epoch of earlier processes did not go on at the start, as `database:epoch`.
    let startNotice = Mutex<StartNotice?>(nil)

    /// - Parameters:
    ///   - configuration: the listening address and the access settings.
    ///   - logger: for messages to the operator.
    public convenience init(
        configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "tablecast")
    ) {
        self.init(configuration: configuration, start: Position(epoch: Epoch.make(), sequence: 0), logger: logger)
    }

    /// - Parameters:
    ///   - start: the position before the first transaction.
    ///   - archive: where transactions are kept longer than in memory.
    package init(
        configuration: ServerConfiguration,
        start: Position,
        archive: (any HistoryArchive)? = nil,
        logger: Logger
    ) {
        self.configuration = configuration
        self.logger = logger
        let metrics = ServiceMetrics()
        self.metrics = metrics
        hub = Hub(start: start, limits: configuration.limits.hub, archive: archive)
        clients = ClientDirectory(hub: hub)
        messageRates = IdentityRates(
            perSecond: configuration.limits.clients.maxMessagesPerSecondOfIdentity,
            burst: configuration.limits.clients.maxMessageBurstOfIdentity
        )
        let reference = WeakServer()
        // Without tokens to check, no asynchronous decision is needed.
        var authorize: WebSocketMount.Authorize?
        if configuration.authenticator != nil {
            authorize = { request in
                guard let server = reference.server else { return .refuse(.stopping) }
                return await server.authorize(request)
            }
        }
        mount = WebSocketMount(
            policy: configuration.upgradePolicy,
            limits: configuration.limits.connection,
            admission: configuration.admission,
            authorize: authorize,
            observer: ConnectionLog(logger: logger, metrics: metrics),
            onQuiesce: { reference.server?.quiesce() }
        ) { request, connection throws(UpgradeRefusal) in
            guard let server = reference.server else { throw .stopping }
            return try server.session(for: request, on: connection)
        }
        reference.server = self
        if case .sameAnd(let origins) = configuration.origins {
            for origin in origins where WebOrigin(origin) == nil {
                logger.error("the allowed origin \(quoted(origin)) is ignored: expected \(WebOrigin.expectation)")
            }
        }
        for proxy in configuration.trustedProxies where AddressRange(proxy) == nil {
            logger.error("the trusted proxy \(quoted(proxy)) is ignored: expected \(AddressRange.expectation)")
        }
    }

    /// Connects the database's side; call it once, before clients connect.
    package func serve(_ requests: any DatabaseRequests) { database.withLock { $0 = requests } }

    package var databaseRequests: (any DatabaseRequests)? { database.withLock { $0 } }

    /// Called when the HTTP server in which the server is mounted shuts down gracefully and waits for its connections:
    /// cancels queries, then closes every WebSocket with 1001 and ends every event stream. Only the first call has an
    /// effect.
    private func quiesce() {
        guard !isQuiescing.exchange(true, ordering: .relaxed) else { return }
        beginStopping()
        logger.debug("closing all clients: the HTTP server shuts down")
        Task {
            await databaseRequests?.endQueries()
            closeAllClients()
        }
    }

    /// From here on every new connection is refused: what its requests need is about to stop.
    package func beginStopping() { stopping.store(true, ordering: .releasing) }

    /// Whether the server stops or has stopped.
    package var isStopping: Bool { stopping.load(ordering: .acquiring) }

    /// The number of connected clients, over WebSockets and event streams.
    public var clientCount: Int { hub.statistics.clients }

    /// The description of the service in `connection:ack`.
    var serverInfo: ServerInfo {
        var capabilities = ["broadcast", "presence"]
        if let requests = databaseRequests { capabilities += requests.capabilities }
        if configuration.authenticator != nil { capabilities.append("renew") }
        return ServerInfo(version: TablecastVersion.current, capabilities: capabilities)
    }
}

/// A weak reference from a mount, which an HTTP server may keep longer, to the server that owns it.
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

/// Identifies an unbroken run of transactions.
package enum Epoch {
    /// Twelve random characters: no two runs ever have the same.
    package static func make() -> String { random(12) }

    static func random(_ length: Int) -> String {
        let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        return String((0..<length).map { _ in alphabet[Int.random(in: alphabet.indices)] })
    }
}

public enum TablecastVersion {
    /// The version of the library and the command.
    public static let current = "0.1.0"
}

extension WebSocketServer {
    /// Checks whether the program behind an HTTP request may use this server at all: the requested host, and the page's
    /// origin. ``ServerConfiguration/host`` defines where the server listens.
    package func admit(host: String?, origin: String?, isSecure: Bool) throws(UpgradeRefusal) {
        var headers = HTTPHeaders()
        if let host { headers.add(name: "Host", value: host) }
        if let origin { headers.add(name: "Origin", value: origin) }
        try mount.policy.check(headers, isSecure: isSecure)
    }
}

/// Listening on its own port, with SwiftNIO alone.
extension WebSocketServer {
    /// Creates a server and starts it.
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
    /// - Throws: ``ServerError/alreadyStarted``, the system's error for the address (`EADDRINUSE`), or
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
            stopping.store(false, ordering: .releasing)
            socket.start { [logger] error in
                if let error { logger.error("the server stopped listening: \(error)") }
            }
        } catch {
            listener.failed()
            throw error
        }
    }

    /// A listener on the configured address, with the limits of this server.
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

    /// Configures a connection of the application's own SwiftNIO server for this server: call it in the child channel's
    /// initializer, after a TLS handler if there is one. Requests for anything except the WebSocket are refused.
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

    /// Stops accepting, closes every client with 1001 after the messages sent before, and returns when the connections
    /// have ended or the close timeout has expired.
    public func stop() async {
        beginStopping()
        listener.stop()?.stop()
        await closeClients()
        clients.observers.finish(nil)
    }

    /// Closes every client with 1001 and waits for the connections to end, at most for the close timeout.
    package func closeClients() async {
        closeAllClients()
        let deadline = ContinuousClock.now + configuration.limits.connection.closeTimeout
        // Clients end one by one, on their event loops; there is no event for the last one.
        while mount.clients.value > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Closes every client with 1001 after the messages sent to it before. Returns at once.
    func closeAllClients() { hub.closeEveryone(.goingAway, reason: Self.goingAway) }

    static let goingAway = "the server is going away"
}

/// Why a ``WebSocketServer`` cannot be started.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum ServerError: Error, Sendable, Hashable {
    /// The server is already listening, or about to.
    case alreadyStarted
}

/// The state of a server's listener. Thread-safe.
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

    /// False when the server has already started.
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
