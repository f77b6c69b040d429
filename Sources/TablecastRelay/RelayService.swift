package import Broadcast
package import ChangeCapture
package import LiveQueries
public import Logging
package import NIOCore
import QueryEngine
public import ServiceLifecycle
import Synchronization
public import Tablecast
public import TablecastClient
package import WireProtocol

/// Receives every transaction of a source over one connection, and serves it to any number of clients.
///
/// Positions are those of the source, so that a client can resume at any relay or at the source. While the source is away,
/// clients stay connected and can resume; they are notified with `database:gone` and `database:back`. Transactions that the
/// relay missed are never skipped silently: its clients receive `subscribed` with `recovered: false`.
///
/// ```swift
/// let relay = try await RelayService.open(sources: [TablecastClient("ws://127.0.0.1:3001/ws")])
/// try await relay.server.start()
/// ```
///
/// Thread-safe. Keep a reference as long as it should run; call ``shutDown()`` at the end.
public final class RelayService: Sendable {
    /// The clients' side: start it on its own port, or mount it in another HTTP server.
    public let server: WebSocketServer
    /// The id in the lists of relays by which a loop is found.
    let id = Epoch.make()
    private let feed: RelayFeed
    private let forwarder: Forwarder
    private let startedAt = ContinuousClock.now
    private let task = Mutex<Task<RelayFailure?, Never>?>(nil)

    private init(server configuration: ServerConfiguration, logger: Logger) {
        server = WebSocketServer(
            configuration: configuration,
            // Replaced by the source's before any client connects.
            start: Position(epoch: Epoch.make(), sequence: 0),
            logger: logger
        )
        feed = RelayFeed(server: server, limits: configuration.limits.live, logger: logger)
        forwarder = Forwarder(feed: feed, hub: server.hub)
        server.serve(self)
    }

    /// Connects to a source, and returns when everything that is committed there has been received.
    ///
    /// - Parameters:
    ///   - sources: servers of the same database, or relays of it, which are tried in turn.
    ///   - configuration: the settings for the relay's own clients.
    ///   - waitsForSource: whether to wait for a source that cannot be reached; otherwise that is an error, because the
    ///     cause is probably a wrong address.
    /// - Throws: ``RelayFailure`` when no source can be used, `CancellationError` when the task is cancelled.
    public static func open(
        sources: [TablecastClient],
        server configuration: ServerConfiguration = ServerConfiguration(),
        waitsForSource: Bool = false,
        logger: Logger = Logger(label: "tablecast")
    ) async throws -> RelayService {
        precondition(!sources.isEmpty, "a relay needs a source")
        let upstream = SourceConnection(
            sources: sources,
            waitsForSource: waitsForSource,
            maxReconnectWait: sources.map(\.maxReconnectWait).min() ?? .seconds(15),
            logger: logger
        )
        return try await open(upstream, server: configuration, logger: logger)
    }

    /// The same with another way to the source.
    package static func open(
        _ upstream: any RelayUpstream,
        server configuration: ServerConfiguration,
        logger: Logger
    ) async throws -> RelayService {
        let relay = RelayService(server: configuration, logger: logger)
        let (id, feed) = (relay.id, relay.feed)
        let task = Task {
            do throws(RelayFailure) {
                try await upstream.run(id: id, receiver: feed)
                return RelayFailure?.none
            } catch {
                return error
            }
        }
        relay.task.withLock { $0 = task }
        let started = AsyncStream<RelayFailure?> { continuation in
            relay.feed.whenCaughtUp {
                continuation.yield(nil)
                continuation.finish()
            }
            Task {
                if let failure = await task.value { continuation.yield(failure) }
                continuation.finish()
            }
        }
        for await failure in started {
            if let failure { throw failure }
            return relay
        }
        await relay.shutDown()
        throw CancellationError()
    }

    /// Disconnects from the source, and closes every client with 1001. Further calls have no effect.
    public func shutDown() async {
        server.beginStopping()
        task.withLock { $0 }?.cancel()
        endForwarding()
        await Task { [self] in await server.stop() }.value
    }

    /// The time since the relay was created.
    public var uptime: Duration { ContinuousClock.now - startedAt }

    /// The source, for requests with the rights of an identity, and its share of the limits.
    ///
    /// - Throws: `DATABASE_GONE` while the relay is not connected to it.
    package func source(for identity: Identity, share: String?) throws(ProtocolError) -> TablecastClient {
        try feed.source(for: identity, share: share)
    }

    /// HTTP requests that are in progress at the source at the same time.
    package static var maxHTTPRequests: Int { HTTPRequests.maxRequests }

    /// Starts a task that performs one HTTP request at the source. It is cancelled when the relay gives the source up, or
    /// shuts down.
    ///
    /// - Parameter work: calls ``source(for:share:)`` itself.
    /// - Throws: `TOO_MANY_QUERIES` when ``maxHTTPRequests`` are in progress.
    package func startRequest(
        _ work: @escaping @Sendable () async -> Void
    ) throws(ProtocolError) -> Task<Void, Never> {
        try feed.httpRequests.start(work)
    }

    private func endForwarding() {
        forwarder.endAll()
        feed.httpRequests.cancelAll()
    }

    /// The name of the source's database.
    public var databaseName: String { feed.status.database }
}

extension RelayService: Service {
    /// Serves until the service group shuts down gracefully or the task is cancelled, then ``shutDown()``.
    ///
    /// - Throws: ``RelayFailure`` when the relay is found to be its own source.
    public func run() async throws {
        let task = task.withLock { $0 }
        let failure: RelayFailure? = await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await task?.value
            } onGracefulShutdown: {
                task?.cancel()
            }
        } onCancel: {
            task?.cancel()
        }
        if let failure {
            await shutDown()
            throw failure
        }
        // Returning before the shutdown would end the group. Cancellation has the same effect.
        try? await gracefulShutdown()
        await shutDown()
    }
}

extension RelayService: MonitoredService {
    package var watcherStatus: WatcherStatus {
        // The process works also while the source is away.
        WatcherStatus(heartbeatAge: .zero, commitsBehind: 0, goneBecause: feed.status.goneBecause)
    }

    package var liveStatistics: LiveQueryStatistics? { nil }
    package var queryCounts: [String: Int] { [:] }
    package func liveQueryCount(of client: ClientID) -> Int { 0 }
    package func liveFigures() async -> [LiveQueryFigures] { [] }

    package func updateLevels() {
        let statistics = server.hub.statistics
        server.metrics.set("tablecast_clients", to: Double(statistics.clients))
        server.metrics.set("tablecast_history_transactions", to: Double(statistics.historyTransactions))
        server.metrics.set("tablecast_history_bytes", to: Double(statistics.historyBytes))
        server.metrics.set("tablecast_relay_connected", to: feed.status.isConnected ? 1 : 0)
        server.metrics.set("tablecast_uptime_seconds", to: uptime / .seconds(1))
    }
}

/// The requests of the relay's clients.
extension RelayService: DatabaseRequests {
    package var relays: [String] { feed.status.relays }
    package var capabilities: [String] { ["tables", "queries", "resume", "snapshot", RelayFormat.capability] }
    package var knownTables: [TableDescription] { feed.rowFilters.tables }
    package var goneBecause: String? { feed.status.goneBecause }
    package var mayLearnOfPositions: Bool { true }

    package func whenSourceIsKnown(_ body: @escaping @Sendable () -> Void) throws(ProtocolError) {
        try feed.whenSourceIsKnown(body)
    }
    package func problem(with rule: TableRule) -> String? { feed.rowFilters.problem(with: rule) }

    package func check(_ request: SubscribeRequest) throws(ProtocolError) {
        guard request.channel == .tables else { return }
        for filter in request.filters { try feed.rowFilters.check(filter) }
    }

    /// The source captures all values for the relay.
    package func subscribes(_ request: SubscribeRequest) {}

    /// The source decides, and refuses what is not allowed.
    package func mayWrite(_ identity: Identity) -> Bool {
        identity.sqlPolicy(isReadOnlyService: false).level > .readOnly
    }

    package func execute(
        _ query: QueryRequest,
        replyTo: String?,
        for client: ConnectedClient,
        on eventLoop: any EventLoop
    ) {
        forwarder.send(.executeQuery(query), replyTo: replyTo, for: client)
    }

    package func write(
        _ row: RowWriteRequest,
        replyTo: String?,
        for client: ConnectedClient,
        on eventLoop: any EventLoop
    ) {
        forwarder.send(.writeRow(row), replyTo: replyTo, for: client)
    }

    package func subscribe(
        _ request: WireProtocol.LiveQueryRequest,
        replyTo: String?,
        for client: ConnectedClient
    ) throws(ProtocolError) {
        forwarder.send(.subscribeQuery(request), replyTo: replyTo, for: client)
    }

    package func unsubscribe(query: String, replyTo: String?, for client: ConnectedClient) throws(ProtocolError) {
        forwarder.send(.unsubscribeQuery(query), replyTo: replyTo, for: client)
    }

    package func cancel(queryID: String, replyTo: String?, by client: ConnectedClient) throws(ProtocolError) {
        forwarder.send(.cancelQuery(id: queryID), replyTo: replyTo, for: client)
    }

    package func sendSnapshot(
        _ request: SubscribeRequest,
        replyTo: String?,
        to client: ConnectedClient
    ) throws(ProtocolError) {
        try forwarder.sendSnapshot(request, replyTo: replyTo, to: client)
    }

    package func endQueries() async { endForwarding() }
    package func left(_ client: ConnectedClient) { forwarder.left(client.id) }
}
