import SQLiteConnection
import Synchronization

/// The state of one query on its thread: steps its statements, delivers their rows in batches, sleeps while the
/// receiver does not take them, and reports progress.
///
/// Belongs to the thread that runs the query.
final class QueryRun {
    let query: Query
    var changes: Int64 = 0
    var lastInsertRowid: Int64?
    /// The receipt of the last commit.
    var receipt: CommitReceipt?
    /// The client's transaction that the query is part of, as far as the client can know it.
    var transaction = ClientTransaction.none
    /// The index of the running statement, from 0.
    var statementIndex = 0
    private(set) var rowCount = 0
    private(set) var isTruncated = false
    private(set) var hasStarted = false
    /// The capture reads what the commit needs, which can take long after a large transaction.
    var isCommitting = false

    /// Called once, when the query begins.
    var onStart: (() -> Void)?
    /// Called when the query begins and ends to sleep for its receiver.
    var onPause: ((Bool) -> Void)?
    /// If set, called with the result when the query was cancelled, before SQLite cleans up: see
    /// ``QueryStateMachine/endCancelled(rowCount:)``.
    var onCancel: ((QueryResult) -> Void)?
    private let limits: QueryLimits
    var maxRowBytes: Int { limits.maxRowBytes }
    private let maxRows: Int
    private let maxPause: Duration
    let progressInterval: Duration
    let beganAt = ContinuousClock.now
    private var resultBytes = 0
    private var batchRows = 0
    private var batchBytes = 0
    private var batchEndsAt: ContinuousClock.Instant
    private var reportsAt: ContinuousClock.Instant
    private var progress: ProgressTracker
    /// Progress is estimated for each statement of a script, and not for the script as a whole.
    private let isEstimated: Bool
    /// False with row rules: a plan counts the rows that they hide.
    private let isPlanned: Bool

    init(
        _ query: Query,
        limits: QueryLimits,
        access: Ticket.Access,
        planner: Planner,
        capture: CaptureWork = CaptureWork()
    ) {
        self.query = query
        self.limits = limits
        maxRows = min(query.request.maxRows ?? limits.maxRows, limits.maxRows)
        maxPause = access == .reader ? limits.maxPause : limits.maxWriterPause
        progressInterval = max(
            query.request.progressInterval ?? limits.progressInterval,
            limits.minProgressInterval
        )
        progress = ProgressTracker(planner, capture: capture)
        isEstimated = query.outline.statementCount <= 1
        isPlanned = query.request.policy.rowRules == nil
        batchEndsAt = beganAt + limits.batchTime
        reportsAt = beganAt + progressInterval
    }

    func start(readOnly: Bool) {
        guard !hasStarted else { return }
        hasStarted = true
        onStart?()
        query.sink.started(readOnly: readOnly)
    }

    // MARK: Rows

    /// Runs a statement to its end and delivers its rows.
    func step(_ statement: inout Statement, index: Int, mustFinish: Bool) throws(QueryStop) {
        progress.begin(statement.counters)
        defer { progress.end() }
        guard statement.columnCount > 0 else {
            do { while try statement.step() {} } catch { throw .sqlite(error) }
            return
        }
        if maxRows == 0 || isTruncated, !mustFinish {
            isTruncated = true
            nameColumns(of: statement, index)
            return
        }
        do {
            // While the statement still holds its resources.
            defer { if query.mustStop { reportCancel() } }
            var hasRow = try stepOnce(&statement)
            // Not earlier: when another process has changed the schema, the first step compiles the statement again.
            nameColumns(of: statement, index)
            while hasRow {
                if !isTruncated { try deliver(statement) }
                // A statement that writes must run to its end; one that reads can stop.
                if isTruncated, !mustFinish { return }
                hasRow = try stepOnce(&statement)
            }
        } catch let error as SQLiteError {
            throw .sqlite(error)
        } catch let stop as QueryStop {
            throw stop
        } catch {
            throw .failed(QueryFailure(.internal, "\(error)"))
        }
    }

    private func nameColumns(of statement: borrowing Statement, _ index: Int) {
        query.sink.columns(statementIndex: index, names: statement.columnNames)
    }

    /// Delivers a row, unless the maximum is reached.
    private func deliver(_ statement: borrowing Statement) throws(QueryStop) {
        if rowCount >= maxRows || resultBytes >= limits.maxResultBytes {
            isTruncated = true
            return
        }
        let bytes = query.sink.row(statement)
        if bytes > limits.maxRowBytes {
            query.sink.takeBackRow()
            throw tooLong(bytes)
        }
        rowCount += 1
        query.rowCount.store(rowCount, ordering: .relaxed)
        batchRows += 1
        batchBytes += bytes
        resultBytes += bytes
        if batchBytes >= limits.batchBytes || batchRows >= limits.batchRows {
            try endBatch()
        } else if query.mustStop {
            throw .cancelled(query.cancelReason ?? .client)
        }
    }

    private func stepOnce(_ statement: inout Statement) throws -> Bool {
        query.releaseSink()
        let hasRow: Bool
        do { hasRow = try statement.step() } catch {
            _ = query.takeSink()
            throw error
        }
        if query.takeSink() == .lost { throw QueryStop.cancelled(query.cancelReason ?? .client) }
        return hasRow
    }

    /// The last point at which a cancel prevents the next statement's effect.
    func endCancel() throws(QueryStop) {
        if let reason = query.detach() { throw .cancelled(reason) }
    }

    private func tooLong(_ bytes: Int) -> QueryStop {
        .failed(QueryFailure(.tooBig, "row \(rowCount + 1) has \(bytes) bytes; a row may have \(limits.maxRowBytes)"))
    }

    /// Sends the rest of the last batch.
    func flush() {
        guard batchRows > 0, query.ownsSink else { return }
        batchRows = 0
        batchBytes = 0
        batchEndsAt = .now + limits.batchTime
        query.sink.endOfBatch()
    }

    private func endBatch() throws(QueryStop) {
        flush()
        if query.mustStop { throw .cancelled(query.cancelReason ?? .client) }
        if !query.sink.isWritable { try query.pause { () throws(QueryStop) in try sleepUntilWritable() } }
    }

    private func sleepUntilWritable() throws(QueryStop) {
        let start = ContinuousClock.now
        onPause?(true)
        defer { onPause?(false) }
        while true {
            // In this order: a wake between the check and the sleep is kept.
            query.parker.forgetWake()
            if let reason = query.cancelReason { throw .cancelled(reason) }
            if query.sink.isWritable { return }
            let paused = start.duration(to: .now)
            let held = beganAt.duration(to: .now)
            guard paused < maxPause else {
                throw .failed(
                    QueryFailure(
                        .interrupted,
                        "the receiver took no rows for \(maxPause), and a query that waits keeps the write-ahead log from "
                            + "being recycled"
                    )
                )
            }
            guard held < limits.maxSnapshotTime else {
                throw .failed(
                    QueryFailure(
                        .interrupted,
                        "the query held its snapshot for \(limits.maxSnapshotTime), which keeps the write-ahead log from "
                            + "being recycled"
                    )
                )
            }
            query.parker.sleep(atMost: min(maxPause - paused, limits.maxSnapshotTime - held))
        }
    }

    // MARK: Within SQLite's callbacks

    /// Called every `ExecutionHandlers.steps` steps of the virtual machine.
    func tick() -> ProgressDecision {
        let access = query.takeSink()
        if access == .lost { return .interrupt }
        // Not when the cancel was reported: nothing may follow.
        defer { if access == .takenBack, query.ownsSink { query.releaseSink() } }
        return decide()
    }

    private func decide() -> ProgressDecision {
        if query.mustStop {
            reportCancel()
            return .interrupt
        }
        let now = ContinuousClock.now
        if isPlanned { progress.tick(rows: rowCount, at: now) }
        // Rows that a receiver does not take wait until the batch is full; then the query waits with them.
        if batchRows > 0, now >= batchEndsAt, query.sink.isWritable { flush() }
        if now >= reportsAt { reportProgress(isCommitting ? "committing" : progress.message, at: now) }
        return .proceed
    }

    private func reportCancel() {
        guard let onCancel, query.ownsSink else { return }
        flush()
        if let result = query.endCancelled(rowCount: rowCount) { onCancel(result) }
    }

    /// Called while the query waits for a lock.
    func tickWaiting() {
        let access = query.takeSink()
        if access == .lost { return }
        // Not when the cancel was reported: nothing may follow.
        defer { if access == .takenBack, query.ownsSink { query.releaseSink() } }
        let now = ContinuousClock.now
        if now >= reportsAt { reportProgress("waiting for a lock that another process holds", at: now) }
    }

    private func reportProgress(_ message: String, at now: ContinuousClock.Instant) {
        reportsAt = now + progressInterval
        query.sink.progress(report(message, at: now))
    }

    /// Reports the progress.
    func report(_ message: String, at now: ContinuousClock.Instant) -> QueryProgress {
        let rowShare = maxRows < Int.max ? Double(rowCount) / Double(max(maxRows, 1)) : nil
        let estimate = isEstimated ? progress.estimate(rowShare: rowShare) : nil
        return QueryProgress(
            fraction: estimate?.fraction,
            message: isEstimated ? message : "statement \(statementIndex + 1): \(message)",
            rowCount: rowCount,
            elapsed: query.submittedAt.duration(to: now),
            estimatedTotal: estimate?.total
        )
    }
}

/// The state of a client's transaction.
enum ClientTransaction {
    case none
    case open
    /// SQLite has rolled it back itself, which it does after some errors and when a write is interrupted.
    case lost

    /// The value for the protocol.
    var isOpen: Bool? {
        switch self {
        case .none: nil
        case .open: true
        case .lost: false
        }
    }
}
