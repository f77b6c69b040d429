package import ChangeCapture
package import SQLiteConnection
import Synchronization

/// Runs SQL against one database: one connection that writes and several that only read, each on a thread of its own, so
/// that no query ever runs on an event loop or a thread of Swift's cooperative pool.
///
/// A script whose every statement only reads, by `sqlite3_stmt_readonly`, runs on a reader, in parallel with everything
/// else. All others run on the writer, clients in turns. An interactive transaction (`BEGIN` … `COMMIT` over several
/// requests) holds the writer for its client. PRAGMA settings and temporary objects last as long as the request or the
/// transaction that made them, and are never seen by another client.
///
/// All methods can be called from any thread and none of them blocks. The service keeps itself alive until ``shutDown(within:)``.
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
        /// Queries that have committed and do not know the position yet.
        var commitWaits: [UInt64: Waiting] = [:]
        /// Ends of queries that never ran, for the deadline loop to tell.
        var notices: [Notice] = []
        var lastId: UInt64 = 0
        /// Rises when the connections have to be opened anew.
        var generation = 0
        /// When the deadline loop looks next; nil when it sleeps until it is woken.
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
        var conclusion: Conclusion
    }

    struct Shutdown {
        var deadline: ContinuousClock.Instant
        var hasToldWorkers = false
        var waiting: [CheckedContinuation<Bool, Never>]
    }

    /// Opens the database once to see that it can be, then starts the threads.
    ///
    /// - Parameters:
    ///   - commitSink: told of every commit that the service makes; kept.
    ///   - events: told what concerns a client and no query; kept.
    /// - Throws: what SQLite says about the file, or `SQLITE_NOMEM` when the system refuses a thread.
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
            // Who has locked the file lets go of it some time, and until then each query is told.
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

    /// Queues a query. What becomes of it goes to the sink, on the service's threads, even a refusal.
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
            // The deadline loop looks by then anyway, in most cases.
            return (control, work, state.deadlineLoopWakesAt.map { $0 > next } ?? true)
        }
        give(work)
        if wakesDeadlineLoop { deadlineLoop.wake() }
        return QueryHandle(control: control)
    }

    package enum Requester: Sendable, Hashable {
        /// May cancel the queries of this ``SQLRequest/owner``.
        case owner(String)
        /// May cancel anybody's.
        case administrator
    }

    package enum CancelAnswer: Sendable, Hashable {
        /// It will end as cancelled, unless its commit has already begun.
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

    /// Cancels the client's queries and rolls its transaction back.
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

    /// Opens every connection anew before its next query, because the file behind the name is another one now; closes those
    /// that idle at once, for SQLite repairs a log that somebody else removed only when nobody has it open. An open
    /// transaction is rolled back; its client is told, and what was meant to be part of it fails with `DATABASE_GONE`.
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
        if let loser { tellRolledBack(loser, why) }
        wakeDeadlineLoop()
    }

    /// Refuses new queries, cancels all others, rolls back what is open, and ends the threads.
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

    /// Work that can start now, with all that its worker needs, so that nobody has to ask again under the lock.
    struct Assigned {
        /// Nil for the writer.
        var reader: Int?
        var work: Worker.Work
    }

    func give(_ assigned: [Assigned]) {
        for item in assigned { (item.reader.map { readers[$0] } ?? writer).give(item.work) }
    }

    func wakeDeadlineLoop() { deadlineLoop.wake() }

    func tellRolledBack(_ client: ClientKey, _ failure: QueryFailure) { events.transactionRolledBack(client, failure) }

    private struct NoEvents: QueryServiceEvents {
        func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure) {}
    }
}

/// What concerns a client without a query of its own. Called on threads of the service's; must not block.
package protocol QueryServiceEvents: Sendable {
    /// The client's transaction is rolled back without its doing. It idled for too long or was open for too long: then what
    /// the client asked for meanwhile, or else its next request, fails with the same words. Or SQLite rolled it back when a
    /// statement was interrupted or failed: then everything does, until the client says COMMIT or ROLLBACK or begins anew.
    func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure)
}

/// What a ``QueryService`` works on.
package struct ServiceConfiguration: Sendable {
    /// The database's file name, or a URI.
    package var path: String
    package var isURI = false
    package var limits = QueryLimits()
    /// Every query that writes begins with `PRAGMA foreign_keys = ON`, which SQLite itself leaves off.
    package var enforcesForeignKeys = false
    /// Frames in the write-ahead log after which the writer runs a PASSIVE checkpoint between two queries; nil when
    /// somebody else does.
    package var checkpointFrames: Int? = 1_000

    /// What a transaction's capture may hold in memory; how much it keeps of each row is for the ``CommitSink`` to say.
    package var captureLimits = CaptureLimits()

    package init(path: String) { self.path = path }
}
