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
    let state: Mutex<State>
    let readers: [Worker]
    let writer = Worker()
    let deadlineLoop = Parker()
    let planner: Planner
    private let events: any QueryServiceEvents

    struct State {
        var scheduler: Scheduler
        var queries: [UInt64: QueryControl] = [:]
        var idsInUse: [String: UInt64] = [:]
        /// Queries that have committed and whose position is not known yet.
        var commitWaits: [UInt64: Waiting] = [:]
        /// Ends of queries that never ran, for the deadline loop to report.
        var notices: [Notice] = []
        var lastId: UInt64 = 0
        /// Incremented when the connections must be opened again.
        var generation = 0
        /// When the deadline loop runs next; nil when it sleeps until it is woken.
        var deadlineLoopWakesAt: ContinuousClock.Instant?
        var shutdown: Shutdown?
        var threadCount = 0
    }

    struct Waiting {
        var wait: CommitWait
        var interval: Duration
        var reportsAt: ContinuousClock.Instant
    }

    struct Notice {
        var control: QueryControl
        var conclusion: QueryResult
    }

    struct Shutdown {
        var deadline: ContinuousClock.Instant
        var hasStoppedWorkers = false
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
        planner = Planner(configuration)
        let limits = configuration.limits
        do { _ = try GuardedConnection(configuration, access: .writer) } catch {
            // A process that has locked the file will release it; until then each query fails with the reason.
            guard error.code.primary == .busy else { throw error }
        }
        let readerCount = max(limits.readerCount, 1)
        let spareReaders = max(limits.spareReaderCount, 0)
        readers = (0..<readerCount + spareReaders).map { _ in Worker() }
        state = Mutex(
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
                )
            )
        )
        try startThreads(commitSink)
    }

    // MARK: Queries

    /// Queues a query. Its sink receives the result, including a refusal, on the service's threads.
    @discardableResult
    package func submit(_ request: SQLRequest, for client: ClientKey, sink: any QuerySink) -> QueryHandle {
        let limits = configuration.limits
        let isTooLong = request.sql.utf8.count > limits.evaluation.maxSQLBytes
        let outline = ScriptOutline(isTooLong ? "" : request.sql)
        let timeout = min(request.timeout ?? limits.statementTime, limits.maxStatementTime)
        let (control, work, wakesDeadlineLoop) = state.withLock { state in
            state.lastId += 1
            let control = QueryControl(
                id: state.lastId,
                request: request,
                client: client,
                sink: sink,
                outline: outline,
                timeout: timeout
            )
            if let refusal = isTooLong ? .sqlTooLong(request, limits) : state.admit(control, limits) {
                state.notices.append(Notice(control: control, conclusion: refusal))
                return (control, [Assigned](), true)
            }
            let work = state.assignedWork()
            let deadline = control.submittedAt + timeout
            let next = min(deadline, state.scheduler.nextTick ?? deadline)
            // In most cases the deadline loop already runs by then.
            return (control, work, state.deadlineLoopWakesAt.map { $0 > next } ?? true)
        }
        give(work)
        if wakesDeadlineLoop { deadlineLoop.wake() }
        return QueryHandle(control: control)
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
        let (answer, running) = state.withLock { state -> (CancelAnswer, [QueryControl]) in
            guard let id = state.idsInUse[queryId], let control = state.queries[id] else { return (.notFound, []) }
            if case .owner(let owner) = requester, owner != control.request.owner { return (.notAllowed, []) }
            return (.cancelling, state.cancel([id], .client))
        }
        for control in running { control.cancel(.client) }
        wakeDeadlineLoop()
        return answer
    }

    /// Cancels the client's queries and rolls back its transaction.
    package func clientDisconnected(_ client: ClientKey) {
        let (running, work) = state.withLock { state in
            let (removed, running) = state.scheduler.disconnect(client)
            state.conclude(removed, .disconnect)
            return (state.controls(running), state.assignedWork())
        }
        for control in running { control.cancel(.disconnect) }
        give(work)
        wakeDeadlineLoop()
    }

    /// Opens every connection again before its next query, because the path names another file now; closes idle ones at
    /// once, because SQLite repairs a log that another process removed only when no connection has it open. An open
    /// transaction is rolled back; its client is notified, and queries that were meant to be part of it fail with
    /// `DATABASE_GONE`.
    package func reopenConnections() {
        let why = QueryFailure.transactionEnded(.transactionLost, configuration.limits)
        let (work, loser) = state.withLock { state in
            state.generation += 1
            let lost = state.scheduler.loseTransaction()
            state.fail(lost?.orphaned ?? [], why.refusingTheRest)
            return (state.assignedWork(), lost?.client)
        }
        for worker in readers + [writer] { worker.give(.close) }
        give(work)
        if let loser { notifyRolledBack(loser, why) }
        wakeDeadlineLoop()
    }

    /// Refuses new queries, cancels all others, rolls back open transactions, and ends the threads.
    ///
    /// - Returns: whether all threads ended in time.
    @discardableResult
    package func shutDown(within limit: Duration = .seconds(4)) async -> Bool {
        await withCheckedContinuation { continuation in
            let (running, work) = state.withLock { state in
                let deadline = ContinuousClock.now + limit
                if state.shutdown == nil { state.shutdown = Shutdown(deadline: deadline, waiting: []) }
                state.shutdown?.waiting.append(continuation)
                let (removed, running) = state.scheduler.shutDown()
                state.conclude(removed, .shutdown)
                return (state.controls(running), state.assignedWork())
            }
            for control in running { control.cancel(.shutdown) }
            give(work)
            wakeDeadlineLoop()
        }
    }

    /// Queries that wait or run.
    package var activeCount: Int { state.withLock { $0.queries.count } }

    // MARK: Threads

    /// Work that can start now, with everything that its worker needs, so that the lock is taken only once.
    struct Assigned {
        /// Nil for the writer.
        var reader: Int?
        var work: Worker.Work
    }

    func give(_ assigned: [Assigned]) {
        for item in assigned { (item.reader.map { readers[$0] } ?? writer).give(item.work) }
    }

    func wakeDeadlineLoop() { deadlineLoop.wake() }

    func notifyRolledBack(_ client: ClientKey, _ failure: QueryFailure) {
        events.transactionRolledBack(client, failure)
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
