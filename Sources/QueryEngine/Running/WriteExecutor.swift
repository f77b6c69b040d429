import ChangeCapture
import SQLiteConnection

/// Runs queries that may write, one after the other, on the only connection that can write.
///
/// Belongs to one worker's thread.
final class WriteExecutor {
    private let configuration: ServiceConfiguration
    private let planner: Planner
    private let commitSink: (any CommitSink)?
    private var session: WriterSession?
    private var generation = 0
    /// A query found that the file no longer exists under its name.
    private var isGone = false

    init(
        _ configuration: ServiceConfiguration,
        planner: Planner,
        commitSink: (any CommitSink)?
    ) {
        self.configuration = configuration
        self.planner = planner
        self.commitSink = commitSink
    }

    /// Opens the connection before the first query; that query reports a failure.
    func prepare() { _ = try? open(generation: generation) }

    func close() {
        rollBack()
        session = nil
    }

    var isInTransaction: Bool { session?.isInTransaction ?? false }

    struct Result {
        var conclusion: QueryResult
        /// The receipt of its last commit; its sink must wait for it.
        var receipt: CommitReceipt?
        var transaction = ClientTransaction.none
        /// Set when the query ran for a noticeable time before this wait.
        var wait: (CommitWait, interval: Duration)?
    }

    func run(_ control: QueryControl, generation: Int) -> Result {
        let session: WriterSession
        do { session = try open(generation: generation) } catch {
            return Result(conclusion: .failed(QueryFailure(error)))
        }
        if let commitSink { session.capture?.level = commitSink.captureLevel }
        let run = QueryRun(
            control,
            limits: configuration.limits,
            access: .writer,
            planner: planner,
            capture: CaptureWork(
                keptRows: session.capture.map { $0.level > .counts ? configuration.captureLimits.maxRows : 0 } ?? 0,
                readsLog: session.capture == nil
            )
        )
        let ended: Ended?
        do {
            try ScriptRunner(run, on: session).execute()
            ended = nil
        } catch { ended = error }
        session.settle()
        run.flush()
        if session.isInTransaction, !control.request.allowsOpenTransaction {
            session.rollBack()
            run.transaction = .none
            if ended == nil { return Result(conclusion: .failed(.transactionLeftOpen), receipt: run.receipt) }
        }
        if session.isInTransaction {
            run.transaction = .open
        } else if run.transaction == .open {
            run.transaction = .lost
        }
        return Result(
            conclusion: conclusion(of: run, ended),
            receipt: run.receipt,
            transaction: run.transaction,
            wait: run.receipt == nil ? nil : wait(of: run)
        )
    }

    private func wait(of run: QueryRun) -> (CommitWait, interval: Duration)? {
        let now = ContinuousClock.now
        let duration = run.beganAt.duration(to: now)
        guard duration >= CommitWait.patience else { return nil }
        let wait = CommitWait(run.report("", at: now), after: duration, sink: run.control.sink)
        return (wait, run.progressInterval)
    }

    private func conclusion(of run: QueryRun, _ ended: Ended?) -> QueryResult {
        switch ended {
        case nil:
            return .completed(
                QueryOutcome(
                    rowCount: run.rowCount,
                    duration: run.control.elapsed,
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
        case .needsWriter: return .failed(QueryFailure(.internal, "the writer handed a query on"))
        }
    }

    /// Rolls back the transaction that a client left open.
    func rollBack() { session?.rollBack() }

    /// Called between two queries: checkpoints, and resets what a client left on the connection.
    func maintain() {
        guard let session, !session.isInTransaction else { return }
        session.checkpoint(atFrames: configuration.checkpointFrames)
        // A newly opened connection has no state of any client: no settings and no temporary objects. And it opens the
        // file that has the name now.
        if session.guarded.authorizer.isTainted || isGone {
            isGone = false
            self.session = nil
            prepare()
        }
    }

    private func open(generation: Int) throws(SQLiteError) -> WriterSession {
        if generation != self.generation {
            rollBack()
            session = nil
        }
        // A transaction that is open in a file without a name ends when it commits.
        if let session, session.isInTransaction || session.guarded.connection.isFileInPlace { return session }
        session = nil
        let opened = try WriterSession(configuration, commitSink: commitSink)
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
