import Broadcast
package import ChangeCapture
public import Logging
package import NIOCore
import NIOPosix
import QueryEngine
import SQLiteConnection
import Synchronization
package import WireProtocol

/// Watches one SQLite database: runs clients' queries, and notifies subscribers of every commit.
///
/// ```swift
/// let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
/// try await service.server.start()
/// ```
///
/// Thread-safe. Keep a reference as long as it should run; call ``shutDown()`` at the end.
public final class TablecastService: Sendable {
    /// The configuration; for an in-memory database, with the path of its file.
    public let configuration: DatabaseConfiguration
    /// The clients' side: start it on its own port, or mount it in another HTTP server.
    public let server: WebSocketServer
    /// The database's name in messages: the file's name, or `:memory:`.
    public let databaseName: String

    let queries: QueryService
    let feed: DatabaseFeed
    let live: LiveFeed
    let snapshots: SnapshotSender
    /// Reads the schema for clients.
    let catalogue: SQLExecutor<Void>
    private let startedAt = ContinuousClock.now
    private let queriesEnd = Mutex<Task<Void, Never>?>(nil)
    private let rowBackpressure = Mutex<[ClientID: RowBackpressure]>([:])

    /// Opens the database and starts watching it. Blocks meanwhile; a task calls ``open(database:server:logger:)`` instead.
    ///
    /// - Throws: ``DatabaseFileError`` for a file that cannot be served, `SQLiteError` or `WatchError` for any other
    ///   error of SQLite.
    public init(
        database: DatabaseConfiguration,
        server configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "tablecast")
    ) throws {
        try Library.requireUsable()
        let database = try database.resolved()
        let path = DatabasePath(database.path)
        guard try path.inspect(writable: !database.isReadOnly) != .missing else {
            throw DatabaseFileError.notFound(path: database.path)
        }
        // Open until the file is watched: the last connection that closes deletes the log, and with it the commits that were made
        // while no service ran.
        let opening = try path.open(switchingToWAL: database.switchesToWAL)
        defer { opening?.close() }
        self.configuration = database
        databaseName = database.memory == nil ? path.name : InMemoryDatabase.name
        let limits = configuration.limits
        let state = OpenedState(database, limits: limits.state, history: limits.hub.history, logger)
        let rowFilters = RowFilters(limits: configuration.limits.live)
        let archive = state.keeper.map { [databaseName] in
            StateArchive($0, databaseName: databaseName, rowFilters: rowFilters)
        }
        server = WebSocketServer(configuration: configuration, start: state.start, archive: archive, logger: logger)
        let reopening = Reopening()
        feed = DatabaseFeed(
            publisher: ChangePublisher(
                hub: server.hub,
                databaseName: databaseName,
                metrics: server.metrics,
                rowFilters: rowFilters,
                keeper: state.keeper
            ),
            hub: server.hub,
            logger: logger,
            metrics: server.metrics,
            limits: configuration.limits,
            onStart: { [weak server] notice in server?.startNotice.withLock { $0 = notice } },
            onReopened: { reopening.reopen() }
        )
        queries = try QueryService(
            database.serviceConfiguration(configuration.limits),
            commitSink: feed,
            events: TransactionNotices(server: server)
        )
        reopening.queries = queries
        live = LiveFeed(hub: server.hub)
        snapshots = try SnapshotSender(
            hub: server.hub,
            publisher: feed.publisher,
            limits: configuration.limits.snapshot
        )
        catalogue = try SQLExecutor(name: "catalogue") {}
        if database.capturesValues { feed.capture(atLeast: .values) }
        try feed.watch(path: database.path, continuing: state.earlier)
        // Each parses the schema: the watcher comes first.
        queries.prepare()
        server.serve(self)
        for limitation in Library.limitations { logger.warning("\(limitation)") }
    }

    /// The same as `init`, on a thread for blocking work: opening a file waits for the disk, for locks of other processes,
    /// and for the recovery of a log.
    ///
    /// ```swift
    /// let service = try await TablecastService.open(database: DatabaseConfiguration(path: "my.db"))
    /// ```
    public static func open(
        database: DatabaseConfiguration,
        server configuration: ServerConfiguration = ServerConfiguration(),
        logger: Logger = Logger(label: "tablecast")
    ) async throws -> TablecastService {
        try await NIOThreadPool.singleton.runIfActive {
            try TablecastService(database: database, server: configuration, logger: logger)
        }
    }

    /// Cancels every query, rolls back open transactions, and closes every client with 1001.
    ///
    /// Further calls have no effect.
    public func shutDown() async {
        // In a task of its own: a cancelled task could not wait.
        server.beginStopping()
        await Task { [self] in
            await endQueries()
            feed.stopLiveQueries()
            feed.stop()
            snapshots.stop()
            catalogue.stop()
            feed.publisher.observers.finish(nil)
            await server.stop()
            configuration.memory?.remove()
        }.value
    }

    package func endQueries() async {
        let end = queriesEnd.withLock { end in
            let task = end ?? Task { [queries] in _ = await queries.shutDown(within: .seconds(2)) }
            end = task
            return task
        }
        await end.value
    }

    /// The time since the service began to watch.
    public var uptime: Duration { ContinuousClock.now - startedAt }

    // MARK: Queries

    /// Runs a query for an HTTP request; its messages are sent to `output`.
    package func run(
        _ query: QueryRequest,
        for requester: QueryRequester,
        replyTo: String? = nil,
        output: any QueryOutput
    ) -> RunningQuery {
        run(query, for: requester, replyTo: replyTo) { events in
            QueryMessages(events, rowFormat: query.rowFormat, output: output)
        }
    }

    /// Runs a query with the sink that `sink` creates.
    ///
    /// - Parameter turn: see ``QueryService/submit(_:for:sink:together:)``.
    func run(
        _ query: QueryRequest,
        for requester: QueryRequester,
        replyTo: String? = nil,
        together turn: SubmissionTurn? = nil,
        sink: (QueryEvents) -> any QuerySink
    ) -> RunningQuery {
        let request = request(query, for: requester)
        let sink = sink(events(request, for: requester, replyTo: replyTo))
        return RunningQuery(handle: queries.submit(request, for: requester.key, sink: sink, together: turn))
    }

    /// Runs a query to one JSON document. `onEnd` is called once, on a thread of the service.
    package func runToDocument(
        _ query: QueryRequest,
        for requester: QueryRequester,
        onEnd: @escaping @Sendable (QueryEnding, [UInt8]) -> Void
    ) {
        let limits = server.configuration.limits.http
        var request = request(query, for: requester)
        request.maxRows = min(request.maxRows ?? limits.documentRows, limits.maxDocumentRows)
        let events = events(request, for: requester, replyTo: nil)
        let sink = QueryDocument(events, rowFormat: query.rowFormat, maxBytes: limits.maxDocumentBytes, onEnd: onEnd)
        queries.submit(request, for: requester.key, sink: sink)
    }

    /// Writes one row by its key. `answer` is called once, on a thread of the service.
    package func write(
        _ row: RowWriteRequest,
        for requester: QueryRequester,
        answer: @escaping @Sendable (RowWriteAnswer) -> Void
    ) {
        write(row, for: requester, together: nil, answer: answer)
    }

    private func write(
        _ row: RowWriteRequest,
        for requester: QueryRequester,
        together turn: SubmissionTurn?,
        answer: @escaping @Sendable (RowWriteAnswer) -> Void
    ) {
        let write = RowWrite(row)
        var request = request(
            QueryRequest(sql: write.sql, queryID: row.queryID, timeout: row.timeout),
            for: requester
        )
        request.rowWrite = write
        request.policy = requester.identity.rowPolicy(isReadOnlyService: configuration.isReadOnly)
        let sink = RowWriteReply(events(request, for: requester, replyTo: nil), write, answer: answer)
        queries.submit(request, for: requester.key, sink: sink, together: turn)
    }

    /// The requester has disconnected: cancels its queries and rolls back its transaction.
    package func requesterLeft(_ requester: QueryRequester) {
        queries.clientDisconnected(requester.key)
    }

    /// Cancels a query of the same identity, or of any identity for an administrator.
    package func cancel(queryID: String, by identity: Identity) throws(ProtocolError) {
        switch queries.cancel(queryID, by: identity.role >= .admin ? .administrator : .owner(identity.id)) {
        case .cancelling: return
        case .notFound: throw .queryNotFound(queryID)
        case .notAllowed:
            // A client that does not see the queries of others must not learn that they exist.
            guard identity.tables == nil else { throw .queryNotFound(queryID) }
            throw ProtocolError(
                .forbidden,
                "the query \"\(queryID)\" is another client's; cancelling it is for the role \(Role.admin.rawValue)"
            )
        }
    }

    private func request(
        _ query: QueryRequest,
        for requester: QueryRequester
    ) -> SQLRequest {
        SQLRequest(
            queryId: query.queryID ?? MessageID.next(),
            sql: query.sql,
            parameters: QueryParameters(query.parameters),
            maxRows: query.maxRows,
            timeout: query.timeout,
            progressInterval: query.progressInterval,
            atomic: query.isAtomic,
            allowsOpenTransaction: requester.client != nil,
            policy: requester.identity.sqlPolicy(isReadOnlyService: configuration.isReadOnly),
            userId: requester.userID,
            username: requester.username,
            owner: requester.identity.id,
            identity: requester.share
        )
    }

    private func events(
        _ request: SQLRequest,
        for requester: QueryRequester,
        replyTo: String?
    ) -> QueryEvents {
        let hub = server.hub
        let owner = requester.identity.id
        let observation = QueryObservation(
            request,
            client: requester.key.rawValue,
            logger: server.logger,
            metrics: server.metrics,
            slowThreshold: configuration.slowQueryThreshold
        )
        return QueryEvents(
            queryID: request.queryId,
            sql: request.sql,
            userID: requester.userID,
            username: requester.username,
            database: databaseName,
            requestID: replyTo,
            observation: observation
        ) { message in
            guard hub.hasListeners(.queries) else { return }
            let message = message()
            // A query names what its client may read, so a client with fewer rights sees only its own queries.
            hub.send(message, to: .queries, except: requester.client) { $0.identityID == owner ? message : nil }
        }
    }
}

// MARK: - Requests of WebSocket clients

extension TablecastService: DatabaseRequests {
    package var relays: [String] { [] }
    package var capabilities: [String] { ["tables", "queries", "resume", "snapshot", RelayFormat.capability] }
    package var knownTables: [TableDescription] { feed.publisher.rowFilters.tables }
    package var goneBecause: String? { feed.status.goneBecause }
    package var mayLearnOfPositions: Bool { false }

    package func whenSourceIsKnown(_ body: @escaping @Sendable () -> Void) { body() }
    package func problem(with rule: TableRule) -> String? { feed.publisher.rowFilters.problem(with: rule) }

    package func subscribes(_ request: SubscribeRequest) {
        guard request.channel == .tables else { return }
        for filter in request.filters {
            // Conditions and rules are evaluated on the values.
            let needsValues = filter.condition != nil || !filter.rules.isEmpty
            feed.capture(atLeast: needsValues ? .values : filter.rowLevel.captureLevel)
        }
    }

    package func execute(
        _ query: QueryRequest,
        replyTo: String?,
        for client: ConnectedClient,
        on eventLoop: any EventLoop
    ) {
        let rowBackpressure = rowBackpressure.withLock { clients in
            let rows = clients[client.id] ?? RowBackpressure()
            clients[client.id] = rows
            return rows
        }
        let output = ClientQueryOutput(hub: server.hub, client: client.id, rowBackpressure: rowBackpressure)
        let requester = QueryRequester(client)
        let running = run(query, for: requester, replyTo: replyTo, together: turn(of: eventLoop)) { events in
            QueryMessages(events, rowFormat: query.rowFormat, output: output)
        }
        output.connect(running)
    }

    /// A task that an event loop is given in a turn runs after it has read from all sockets that were ready.
    private func turn(of eventLoop: any EventLoop) -> SubmissionTurn {
        SubmissionTurn(of: eventLoop) { body in eventLoop.execute(body) }
    }

    package func mayWrite(_ identity: Identity) -> Bool {
        identity.rowPolicy(isReadOnlyService: configuration.isReadOnly).level > .readOnly
    }

    package func write(
        _ row: RowWriteRequest,
        replyTo: String?,
        for client: ConnectedClient,
        on eventLoop: any EventLoop
    ) {
        let hub = server.hub
        write(row, for: QueryRequester(client), together: turn(of: eventLoop)) { answer in
            hub.send(answer.message(replyTo: replyTo), to: client.id)
        }
    }

    package func cancel(queryID: String, replyTo: String?, by client: ConnectedClient) throws(ProtocolError) {
        try cancel(queryID: queryID, by: client.identity)
    }

    package func sendSnapshot(_ request: SubscribeRequest, replyTo: String?, to client: ConnectedClient)
        throws(ProtocolError)
    {
        guard let watcher = feed.watcher else {
            throw ProtocolError(
                .databaseGone,
                "the database is not watched, so a snapshot would have no position"
            )
        }
        try snapshots.send(request, replyTo: replyTo, to: client.id, from: watcher)
    }

    package func check(_ request: SubscribeRequest) throws(ProtocolError) {
        guard request.channel == .tables else { return }
        for filter in request.filters { try feed.publisher.rowFilters.check(filter) }
    }

    package func unsubscribe(query: String, replyTo: String?, for client: ConnectedClient) throws(ProtocolError) {
        try live.unsubscribe(query, of: client.id, replyTo: replyTo)
    }

    /// Starts the engine of live queries with the first of them.
    func startLiveQueries() throws(ProtocolError) {
        // The values show which queries an update does not concern.
        feed.capture(atLeast: .values)
        do {
            try feed.startLiveQueries(path: configuration.path, sink: live)
        } catch {
            throw ProtocolError(.internal, "\(error)")
        }
    }

    package func left(_ client: ConnectedClient) {
        live.left(client.id)
        rowBackpressure.withLock { $0[client.id] = nil }
        requesterLeft(QueryRequester(client))
    }
}

/// The link from the feed to the query service, which is created after it.
private final class Reopening: Sendable {
    private let service = Mutex<QueryService?>(nil)

    var queries: QueryService? {
        get { service.withLock { $0 } }
        set { service.withLock { $0 = newValue } }
    }

    func reopen() { queries?.reopenConnections() }
}

extension ProtocolError {
    fileprivate static func queryNotFound(_ queryID: String) -> ProtocolError {
        ProtocolError(.queryNotFound, "no query with the id \"\(queryID)\" is queued or running")
    }
}

/// Whether the watcher makes progress, without running SQL: cheap enough for requests without a token.
package struct WatcherStatus: Sendable, Hashable {
    /// How long ago its thread last made progress; an idle watcher does so every 50 ms. Nil when there is no watcher.
    package var heartbeatAge: Duration?
    /// Commits of the service's own writer that it has not delivered yet.
    package var commitsBehind: Int
    /// Why the file cannot be read now; nil while it is watched.
    package var goneBecause: String?

    package init(heartbeatAge: Duration?, commitsBehind: Int, goneBecause: String?) {
        self.heartbeatAge = heartbeatAge
        self.commitsBehind = commitsBehind
        self.goneBecause = goneBecause
    }

    /// A watcher that reads a transaction of millions of rows makes no visible progress for seconds.
    static let maxHeartbeatAge = Duration.seconds(30)

    package var isMoving: Bool { heartbeatAge.map { $0 <= Self.maxHeartbeatAge } ?? false }
}

extension TablecastService {
    package var watcherStatus: WatcherStatus {
        var status = feed.status
        if status.goneBecause == nil, FileIdentity(path: configuration.path) == nil {
            status.goneBecause = "there is no file \(configuration.path)"
        }
        return status
    }
}
