import ChangeCapture
import SQLiteConnection

/// Runs queries that may write, one after the other, on the one connection that can.
///
/// Belongs to one worker's thread.
final class WriterLane {
    private let configuration: ServiceConfiguration
    private let planner: Planner
    private let commitSink: (any CommitSink)?
    private var session: WriterSession?
    private var generation = 0
    /// A query found that the file is no longer there.
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

    /// Opens the connection ahead of the first query; a failure is found again by that query.
    func prepare() { _ = try? open(generation: generation) }

    func close() {
        rollBack()
        session = nil
    }

    var isInTransaction: Bool { session?.isInTransaction ?? false }

    /// - Returns: how it ended, and the receipt of what it committed last, which its sink has to wait for.
    func run(_ control: QueryControl, generation: Int) -> (Conclusion, CommitReceipt?) {
        let session: WriterSession
        do { session = try open(generation: generation) } catch { return (.failed(QueryFailure(error)), nil) }
        if let commitSink { session.capture?.level = commitSink.captureLevel }
        let run = QueryRun(
            control,
            limits: configuration.limits,
            lane: .writer,
            planner: planner,
            capture: CaptureWork(
                keptRows: session.capture.map { $0.level > .counts ? configuration.captureLimits.maxRows : 0 } ?? 0,
                readsLog: session.capture == nil
            )
        )
        let ended: Ended?
        do {
            try WriterScript(run, on: session).execute()
            ended = nil
        } catch { ended = error }
        session.settle()
        run.flush()
        return (conclusion(of: run, ended, on: session), run.receipt)
    }

    private func conclusion(of run: QueryRun, _ ended: Ended?, on session: WriterSession) -> Conclusion {
        let control = run.control
        if session.isInTransaction, !control.request.allowsOpenTransaction {
            session.rollBack()
            if ended == nil {
                return .failed(
                    QueryFailure(
                        .transactionLeftOpen,
                        "the transaction was still open at the end of the request, and was rolled back"
                    )
                )
            }
        }
        switch ended {
        case nil:
            return .completed(
                QueryOutcome(
                    rowCount: run.rowCount,
                    duration: control.elapsed,
                    changes: run.changes,
                    lastInsertRowid: run.lastInsertRowid,
                    truncated: run.isTruncated,
                    inTransaction: session.isInTransaction
                )
            )
        case .cancelled(let reason): return .cancelled(reason, rowCount: run.rowCount)
        case .failed(var failure):
            isGone = failure.code == .databaseGone
            failure.rowCount = run.rowCount
            failure.inTransaction = session.isInTransaction
            return .failed(failure)
        case .needsWriter: return .failed(QueryFailure(.internal, "the writer handed a query on"))
        }
    }

    /// Rolls back the transaction that a client left.
    func rollBack() { session?.rollBack() }

    /// Between two queries: checkpoints, and clears what a client left on the connection.
    func maintain() {
        guard let session, !session.isInTransaction else { return }
        session.checkpoint(atFrames: configuration.checkpointFrames)
        // A connection that was opened anew has nothing of anybody's: no setting, no temporary object. And it finds the
        // file that has the name now.
        if session.guarded.gatekeeper.isTainted || isGone {
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
        if let session { return session }
        let opened = try WriterSession(configuration, commitSink: commitSink)
        session = opened
        self.generation = generation
        return opened
    }
}
