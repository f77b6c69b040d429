package import ChangeCapture
package import SQLiteConnection
import Synchronization

/// Runs SQL against one database: one connection that writes and several that only read, each on its own thread, so
/// that no query ever runs on an event loop or a thread of Swift's cooperative pool.
///
/// A script of which every statement is read-only, by `sqlite3_stmt_readonly`, runs on a reader, in parallel with all
/// other queries. All others run on the writer; clients take turns. An interactive transaction (`BEGIN` … `COMMIT` over
/// several requests) holds the writer for its client. PRAGMA settings and temporary objects last as long as the request
/// or the transaction that created them, and other clients never see them.
///
/// All methods can be called from any thread and none of them blocks. The service keeps itself alive until
/// ``shutDown(within:)``.
package final class QueryService: Sendable {
    let configuration: ServiceConfiguration
    let state: SharedState<State>
    let readers: [SQLExecutor<QueryReader>]
    let writer: SQLExecutor<QueryWriter>
    /// Sends the messages of queries that no other executor runs: of those that never ran, that were abandoned, or that wait
    /// for the position of their commit. So neither the thread that publishes commits nor the next query of the writer
    /// delays the end of a query.
    let reporter: SQLExecutor<Void>
    let planner: Planner
    let deadlineLoop = Parker()
    /// Emptied only within the lock of the state, so that queries enter the scheduler in the order in which they arrived.
    let arrivals = Mutex(Arrivals())
    private let events: any QueryServiceEvents
    let lastId = Atomic<UInt64>(0)

    struct State {
        var scheduler: Scheduler
        var timeBudget: QueryTimeBudget
        /// Queries that have not ended.
        var queries: [UInt64: Query] = [:]
        var idsInUse: [String: UInt64] = [:]
        /// Messages for the reporter.
        var reports: [Actions.Report] = []
        /// Incremented when the connections must be opened again.
        var generation = 0
        /// When the deadline loop runs next; nil when it sleeps until it is woken.
        var deadlineLoopWakesAt: ContinuousClock.Instant?
        var shutdown: Shutdown?
        /// Executors that have not ended, without the reporter.
        var workerCount: Int
        let backlog: WriterBacklog
        var hasReporterEnded = false
    }

    /// What a change of the state causes, performed outside of the lock.
    struct Actions {
        /// Work that can start now, with everything that its worker needs, so that the lock is taken only once.
        enum Work {
            /// The generation is the one that the connection must have.
            case read(Query, reader: Int, generation: Int)
            case write(Query, generation: Int)
            /// Roll back the open transaction.
            case rollBack
        }

        enum Report {
            case end(Query, QueryResult)
            case progress(Query, QueryProgress)
            case announce(Query)
        }

        var work: [Work]
        var reports: [Report]

        /// Whether the writer runs a query next.
        var runsWriter: Bool {
            work.contains { work in if case .write = work { true } else { false } }
        }
    }

    struct Shutdown {
        var deadline: ContinuousClock.Instant
        var hasStoppedWorkers = false
        var hasStoppedReporter = false
        var waiting: [CheckedContinuation<Bool, Never>]
    }

    /// Opens the database once to check that it can be opened, then starts the threads.
    ///
    /// - Parameters:
    ///   - commitSink: receives every commit that the service makes; retained.
    ///   - events: receives events that concern a client and no query; retained.
    /// - Throws: SQLite's error for the file, or `SQLITE_NOMEM` when the system refuses to start a thread.
    package init(
        _ configuration: ServiceConfiguration,
        commitSink: (any CommitSink)? = nil,
        events: (any QueryServiceEvents)? = nil
    ) throws(SQLiteError) {
        self.configuration = configuration
        self.events = events ?? NoEvents()
        let limits = configuration.limits
        do { try Self.check(configuration) } catch {
            // A process that has locked the file will release it; until then each query fails with the reason.
            guard error.code.primary == .busy else { throw error }
        }
        let readerCount = max(limits.readerCount, 1)
        let spareReaders = max(limits.spareReaderCount, 0)
        let planner = try Planner(configuration)
        self.planner = planner
        let backlog = WriterBacklog()
        let fileCheck = FileCheck()
        writer = try SQLExecutor(name: "query-writer") {
            QueryWriter(configuration, planner: planner, commitSink: commitSink, backlog: backlog, fileCheck: fileCheck)
        }
        var readers: [SQLExecutor<QueryReader>] = []
        for index in 0..<readerCount + spareReaders {
            readers.append(
                try SQLExecutor(name: "query-reader-\(index)", startsWhenNeeded: index >= readerCount) {
                    QueryReader(configuration, planner: planner, fileCheck: fileCheck)
                }
            )
        }
        self.readers = readers
        reporter = try SQLExecutor(name: "query-reports") {}
        state = SharedState(
            State(
                scheduler: Scheduler(
                    readerCount: readerCount,
                    spareReaders: spareReaders,
                    limits: Scheduler.Limits(
                        maxQueries: limits.maxQueries,
                        maxQueriesPerClient: limits.maxQueriesPerClient,
                        busyTimeout: limits.busyTimeout,
                        idleTimeout: limits.transactionIdleTimeout,
                        maxTransactionTime: limits.maxTransactionTime
                    )
                ),
                timeBudget: QueryTimeBudget(
                    perSecond: limits.maxTimePerSecondOfIdentity,
                    burst: limits.maxTimeBurstOfIdentity
                ),
                workerCount: readerCount + spareReaders + 1,
                backlog: backlog
            )
        )
        try NamedThread.start(name: "query-deadlines") { [self] in runDeadlineLoop() }
    }

    /// Reads page 1, so that a file that is not a database fails here; without the schema, whose parsing takes time.
    private static func check(_ configuration: ServiceConfiguration) throws(SQLiteError) {
        let connection = try Connection(path: configuration.path, mode: .readWrite, isURI: configuration.isURI)
        _ = try connection.query("PRAGMA schema_version")
    }

    /// Opens the connections of the writer and of the readers, without waiting for them, so that the first queries find them
    /// open. The spare ones start, and open their connections, when they are needed.
    ///
    /// One after the other: each parses the schema, and what is started meanwhile needs a processor too.
    package func prepare() {
        writer.submit { [self] writer in
            writer.prepare()
            prepareReaders(from: 0)
        }
    }

    private func prepareReaders(from index: Int) {
        guard index < max(configuration.limits.readerCount, 1) else { return }
        readers[index].submit { [self] reader in
            reader.prepare()
            prepareReaders(from: index + 1)
        }
    }

    // MARK: Queries

    /// The number of queries of each client that wait or run.
    package var queryCounts: [ClientKey: Int] {
        admitArrivals()
        return state.withLock { $0.queries.values.reduce(into: [:]) { $0[$1.client, default: 0] += 1 } }
    }

    package enum Requester: Sendable, Hashable {
        /// May cancel the queries of this ``SQLRequest/owner``.
        case owner(String)
        /// May cancel the queries of all owners.
        case administrator
    }

    package enum CancelAnswer: Sendable, Hashable {
        /// It ends as cancelled, unless its commit has already begun.
        case cancelling
        case notFound
        case notAllowed
    }

    @discardableResult
    package func cancel(_ queryId: String, by requester: Requester) -> CancelAnswer {
        admitArrivals()
        let (answer, actions) = state.withLock { state -> (CancelAnswer, Actions?) in
            guard let id = state.idsInUse[queryId], let query = state.queries[id] else { return (.notFound, nil) }
            if case .owner(let owner) = requester, owner != query.request.owner { return (.notAllowed, nil) }
            state.cancel([id], .client)
            return (.cancelling, state.takeActions())
        }
        if let actions { perform(actions) }
        deadlineLoop.wake()
        return answer
    }

    /// Cancels the client's queries and rolls back its transaction.
    package func clientDisconnected(_ client: ClientKey) {
        admitArrivals()
        let actions = state.withLock { state in
            let (removed, running) = state.scheduler.disconnect(client)
            state.end(removed, .cancelled(.disconnect, rowCount: 0))
            state.cancelRunning(running, .disconnect)
            return state.takeActions()
        }
        perform(actions)
        deadlineLoop.wake()
    }

    /// Opens every connection again before its next query, because the path names another file now; closes idle ones at
    /// once, because SQLite repairs a log that another process removed only when no connection has it open. An open
    /// transaction is rolled back; its client is notified, and queries that were meant to be part of it fail with
    /// `DATABASE_GONE`.
    package func reopenConnections() {
        let why = QueryFailure.transactionEnded(.transactionLost, configuration.limits)
        let (actions, loser) = state.withLock { state in
            state.generation += 1
            let lost = state.scheduler.loseTransaction()
            state.end(lost?.orphaned ?? [], .failed(why.refusingTheRest))
            return (state.takeActions(), lost?.client)
        }
        for reader in readers { reader.submit { $0.close() } }
        writer.submit { $0.close() }
        perform(actions)
        if let loser { notifyRolledBack(loser, why) }
        deadlineLoop.wake()
    }

    /// Refuses new queries, cancels all others, rolls back open transactions, and ends the threads.
    ///
    /// - Returns: whether all threads ended in time.
    @discardableResult
    package func shutDown(within limit: Duration = .seconds(4)) async -> Bool {
        await withCheckedContinuation { continuation in
            admitArrivals()
            let actions = state.withLock { state in
                let deadline = ContinuousClock.now + limit
                if state.shutdown == nil { state.shutdown = Shutdown(deadline: deadline, waiting: []) }
                state.shutdown?.waiting.append(continuation)
                let (removed, running) = state.scheduler.shutDown()
                state.end(removed, .cancelled(.shutdown, rowCount: 0))
                state.cancelRunning(running, .shutdown)
                return state.takeActions()
            }
            perform(actions)
            deadlineLoop.wake()
        }
    }

    /// Queries that wait or run.
    package var activeCount: Int {
        admitArrivals()
        return state.withLock { $0.queries.count }
    }

    /// Tells a client on the reporter's thread that its transaction was rolled back.
    func notifyRolledBack(_ client: ClientKey, _ failure: QueryFailure) {
        reporter.submit { [events] in events.transactionRolledBack(client, failure) }
    }

    private struct NoEvents: QueryServiceEvents {
        func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure) {}
    }
}

/// Receives events that concern a client and none of its queries. Called on the service's threads; must not block.
package protocol QueryServiceEvents: Sendable {
    /// The client's transaction was rolled back without its request. Either it was idle or open for too long: then the
    /// queries that the client sent meanwhile, or otherwise its next request, fail with the same message. Or SQLite
    /// rolled it back when a statement was interrupted or failed: then every query fails until the client sends COMMIT
    /// or ROLLBACK or begins a new transaction.
    func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure)
}

/// The configuration of a ``QueryService``.
package struct ServiceConfiguration: Sendable {
    /// The database's file name, or a URI.
    package var path: String
    package var isURI = false
    package var limits = QueryLimits()
    /// Whether every query that writes begins with `PRAGMA foreign_keys = ON`, which is off by default in SQLite.
    package var enforcesForeignKeys = false
    /// Frames in the write-ahead log after which the writer runs a PASSIVE checkpoint between two queries; nil when
    /// another component does.
    package var checkpointFrames: Int? = 1_000

    /// The memory limits of a transaction's capture; the ``CommitSink`` determines the detail of each row.
    package var captureLimits = CaptureLimits()

    package init(path: String) { self.path = path }
}
