import ChangeCapture
import SQLiteConnection
import Synchronization

/// Runs queries that may write, one after the other, on the only connection that can write.
///
/// Belongs to the writer's thread.
final class QueryWriter {
    private let configuration: ServiceConfiguration
    private let planner: Planner
    private let commitSink: (any CommitSink)?
    private let backlog: WriterBacklog
    private let fileCheck: FileCheck
    private var session: WriterSession?
    private var generation = 0
    /// A query found that the file no longer exists under its name.
    private var isGone = false

    init(
        _ configuration: ServiceConfiguration,
        planner: Planner,
        commitSink: (any CommitSink)?,
        backlog: WriterBacklog,
        fileCheck: FileCheck
    ) {
        self.configuration = configuration
        self.planner = planner
        self.commitSink = commitSink
        self.backlog = backlog
        self.fileCheck = fileCheck
    }

    /// Opens the connection before the first query; that query reports a failure.
    func prepare() { _ = try? open(generation: generation, for: .now) }

    func close() {
        rollBack()
        session = nil
    }

    var isInTransaction: Bool { session?.isInTransaction ?? false }

    struct Outcome {
        var result: QueryResult
        /// The receipt of its last commit; its sink must wait for it.
        var receipt: CommitReceipt?
        var transaction = ClientTransaction.none
        /// Set when the query ran for a noticeable time before this wait.
        var progress: CommitProgress?
    }

    func run(_ query: Query, generation: Int) -> Outcome {
        let session: WriterSession
        do { session = try open(generation: generation, for: query.submittedAt) } catch {
            return Outcome(result: .failed(QueryFailure(error)))
        }
        if let commitSink { session.capture?.level = commitSink.captureLevel }
        let run = QueryRun(
            query,
            limits: configuration.limits,
            access: .writer,
            planner: planner,
            capture: CaptureWork(
                keptRows: session.capture.map { $0.level > .counts ? configuration.captureLimits.maxRows : 0 } ?? 0,
                readsLog: session.capture == nil
            )
        )
        let stop: QueryStop?
        do {
            try ScriptRunner(run, on: session).execute()
            stop = nil
        } catch { stop = error }
        session.settle()
        run.flush()
        if session.isInTransaction, !query.request.allowsOpenTransaction {
            session.rollBack()
            run.transaction = .none
            if stop == nil { return Outcome(result: .failed(.transactionLeftOpen), receipt: run.receipt) }
        }
        if session.isInTransaction {
            run.transaction = .open
        } else if run.transaction == .open {
            run.transaction = .lost
        }
        return Outcome(
            result: result(of: run, stop),
            receipt: run.receipt,
            transaction: run.transaction,
            progress: run.receipt == nil ? nil : progress(of: run)
        )
    }

    private func progress(of run: QueryRun) -> CommitProgress? {
        let now = ContinuousClock.now
        let duration = run.beganAt.duration(to: now)
        guard duration >= CommitProgress.minDuration else { return nil }
        return CommitProgress(run.report("", at: now), after: duration, interval: run.progressInterval, at: now)
    }

    private func result(of run: QueryRun, _ stop: QueryStop?) -> QueryResult {
        switch stop {
        case nil:
            return .completed(
                QueryOutcome(
                    rowCount: run.rowCount,
                    duration: run.query.elapsed,
                    changes: run.changes,
                    lastInsertRowid: run.lastInsertRowid,
                    truncated: run.isTruncated,
                    inTransaction: run.transaction == .open
                )
            )
        case .cancelled(let reason):
            return .cancelled(reason, rowCount: run.rowCount, inTransaction: run.transaction.isOpen)
        case .failed(var failure):
            isGone = failure.code == .databaseGone
            failure.rowCount = run.rowCount
            failure.inTransaction = run.transaction.isOpen
            return .failed(failure)
        case .sqlite(let error): return .failed(QueryFailure(error))
        case .needsWriter: return .failed(QueryFailure(.internal, "a reader's result on the writer"))
        }
    }

    /// No query runs next.
    func rest() {
        if backlog.takePromise() { commitSink?.writerRests() }
    }

    /// Rolls back the transaction that a client left open.
    func rollBack() { session?.rollBack() }

    /// Called between two queries: checkpoints, and resets what a client left on the connection.
    func maintain() {
        guard let session, !session.isInTransaction else { return }
        session.checkpoint(everyFrames: configuration.checkpointFrames)
        // A newly opened connection has no state of any client: no settings and no temporary objects. And it opens the
        // file that has the name now.
        if session.guarded.authorizer.isTainted || isGone {
            isGone = false
            self.session = nil
            prepare()
        }
    }

    /// - Parameter submittedAt: a query must use a file that had the name then or later.
    private func open(
        generation: Int,
        for submittedAt: ContinuousClock.Instant
    ) throws(SQLiteError) -> WriterSession {
        if generation != self.generation {
            rollBack()
            session = nil
        }
        // A transaction that is open in a file without a name ends when it commits.
        if let session {
            if session.isInTransaction { return session }
            let connection = session.guarded.connection
            if fileCheck.isInPlace(connection, since: submittedAt), !connection.isLogLost { return session }
        }
        session = nil
        let opened = try WriterSession(
            configuration,
            commitSink: commitSink,
            backlog: backlog,
            fileCheck: fileCheck
        )
        session = opened
        self.generation = generation
        return opened
    }
}

extension QueryFailure {
    static let transactionLeftOpen = QueryFailure(
        .transactionLeftOpen,
        "the transaction was still open at the end of the request, and was rolled back"
    )
}

/// Whether queries wait for the writer while it runs one. Thread-safe.
final class WriterBacklog: Sendable {
    private let isWaiting = Atomic(false)
    /// The sink waits for the commits that follow the last one.
    private let isPromised = Atomic(false)

    func note(_ isWaiting: Bool) { self.isWaiting.store(isWaiting, ordering: .relaxed) }

    /// Called by the writer for a commit: whether another query follows at once. Then ``takePromise()`` must follow.
    func promise() -> Bool {
        guard isWaiting.load(ordering: .relaxed) else { return false }
        isPromised.store(true, ordering: .relaxed)
        return true
    }

    /// Called by the writer when it has nothing to run.
    func takePromise() -> Bool { isPromised.exchange(false, ordering: .relaxed) }
}
