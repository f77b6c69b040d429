package import Broadcast
public import Logging
import NIOHTTP1
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
