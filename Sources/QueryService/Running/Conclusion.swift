/// How a query ended; said to its sink once the scheduler knows.
enum Conclusion {
    case completed(QueryOutcome)
    case failed(QueryFailure)
    case cancelled(CancelReason, rowCount: Int, inTransaction: Bool? = nil)
    /// Its sink heard that it was cancelled, before everything was cleaned up behind it.
    case told
    /// A reader found that it writes.
    case handOn

    /// - Parameter receipt: the position of what the query committed.
    func tell(_ control: QueryControl, receipt: String? = nil) {
        switch self {
        case .completed(var outcome):
            outcome.receipt = receipt
            // With the time that it waited for that.
            outcome.duration = control.elapsed
            control.sink.completed(outcome)
        case .failed(let failure): control.sink.failed(failure)
        case .cancelled(let reason, let rowCount, let inTransaction):
            control.sink.cancelled(
                reason,
                rowCount: rowCount,
                duration: control.elapsed,
                inTransaction: inTransaction
            )
        case .told, .handOn: break
        }
    }
}
