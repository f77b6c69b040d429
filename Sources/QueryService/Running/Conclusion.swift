/// How a query ended; said to its sink once the scheduler knows.
enum Conclusion {
    case completed(QueryOutcome)
    case failed(QueryFailure)
    case cancelled(CancelReason, rowCount: Int)
    /// Its sink heard that it was cancelled, before everything was cleaned up behind it.
    case told
    /// A reader found that it writes.
    case handOn

    func tell(_ control: QueryControl) {
        switch self {
        case .completed(let outcome): control.sink.completed(outcome)
        case .failed(let failure): control.sink.failed(failure)
        case .cancelled(let reason, let rowCount):
            control.sink.cancelled(reason, rowCount: rowCount, duration: control.elapsed)
        case .told, .handOn: break
        }
    }
}
