import QueryEngine
import SQLiteConnection
import Synchronization

/// Records a query's results, and lets tests wait for them.
final class RecordingSink: QuerySink {
    enum End: Sendable {
        case completed(QueryOutcome)
        case failed(QueryFailure)
        case cancelled(CancelReason, inTransaction: Bool?)
    }

    struct Log {
        var readOnly: Bool?
        var columns: [Int: [String]] = [:]
        var rows: [[SQLiteValue]] = []
        /// Of a row that was written, by column.
        var image: [String: SQLiteValue]?
        var rowid: Int64?
        var batches = 0
        var progress: [QueryProgress] = []
        var end: End?
        /// Of a query that was cancelled.
        var receipt: String?
        /// More than one end, or anything after it.
        var isBroken = false
        fileprivate var isWritable = true
        fileprivate var waiters: [(isMet: @Sendable (Log) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state: Mutex<Log>
    private let keepsRows: Bool
    private let onStarted: @Sendable () -> Void
    private let onCancelled: @Sendable () -> Void

    init(
        isWritable: Bool = true,
        keepsRows: Bool = true,
        onStarted: @escaping @Sendable () -> Void = {},
        onCancelled: @escaping @Sendable () -> Void = {}
    ) {
        self.keepsRows = keepsRows
        self.onStarted = onStarted
        self.onCancelled = onCancelled
        state = Mutex(Log(isWritable: isWritable))
    }

    var log: Log { state.withLock { $0 } }

    func setWritable(_ isWritable: Bool) { state.withLock { $0.isWritable = isWritable } }

    /// Suspends until the log meets a condition, or the query is over.
    func wait(until isMet: @escaping @Sendable (Log) -> Bool) async {
        let isMet = { @Sendable (log: Log) in isMet(log) || log.end != nil }
        await withCheckedContinuation { continuation in
            state.withLock { log in
                if isMet(log) { continuation.resume() } else { log.waiters.append((isMet, continuation)) }
            }
        }
    }

    func end() async -> End {
        await wait { $0.end != nil }
        return log.end ?? .cancelled(.shutdown, inTransaction: nil)
    }

    private func note(_ change: (inout Log) -> Void) {
        state.withLock { log in
            if log.end != nil { log.isBroken = true }
            change(&log)
            let met = log.waiters.filter { $0.isMet(log) }
            let unmet = log.waiters.filter { !$0.isMet(log) }
            log.waiters = unmet
            for waiter in met { waiter.continuation.resume() }
        }
    }

    // MARK: QuerySink

    func started(readOnly: Bool) {
        note { $0.readOnly = readOnly }
        onStarted()
    }
    func columns(statementIndex: Int, names: [String]) { note { $0.columns[statementIndex] = names } }

    func row(_ statement: borrowing Statement) -> Int {
        guard keepsRows else { return 100 }
        var row: [SQLiteValue] = []
        for column in 0..<statement.columnCount { row.append(statement.value(column)) }
        note { $0.rows.append(row) }
        return 100
    }

    func row(_ image: RowImage) {
        note { log in
            log.image = Dictionary(uniqueKeysWithValues: image.cells.map { ($0.column, $0.value) })
            log.rowid = image.rowid
        }
    }

    func takeBackRow() { note { _ = $0.rows.popLast() } }
    func endOfBatch() { note { $0.batches += 1 } }
    var isWritable: Bool { state.withLock { $0.isWritable } }
    func progress(_ progress: QueryProgress) { note { $0.progress.append(progress) } }
    func completed(_ outcome: QueryOutcome) { note { $0.end = .completed(outcome) } }
    func failed(_ failure: QueryFailure) { note { $0.end = .failed(failure) } }
    func cancelled(_ cancellation: QueryCancellation) {
        onCancelled()
        note { log in
            log.receipt = cancellation.receipt
            log.end = .cancelled(cancellation.reason, inTransaction: cancellation.inTransaction)
        }
    }
}

extension RecordingSink.End {
    var outcome: QueryOutcome? { if case .completed(let outcome) = self { outcome } else { nil } }
    var failure: QueryFailure? { if case .failed(let failure) = self { failure } else { nil } }
    var cancelReason: CancelReason? { if case .cancelled(let reason, _) = self { reason } else { nil } }
    /// The value that the client receives.
    var inTransaction: Bool? {
        switch self {
        case .completed(let outcome): outcome.inTransaction
        case .failed(let failure): failure.inTransaction
        case .cancelled(_, let inTransaction): inTransaction
        }
    }
}
