/// What the scheduler knows of a query.
struct Ticket: Hashable, Sendable {
    let id: UInt64
    let client: ClientKey
    /// Where it should be tried first. A reader that finds out that it writes hands it on.
    var lane: Lane
    /// It says BEGIN, COMMIT, SAVEPOINT or the like: what the client sends after it has to follow it in order.
    let controlsTransactions: Bool
    /// It says BEGIN before anything else.
    var begins = false
    /// It says COMMIT or ROLLBACK.
    var ends = false
    /// If it fails, there is no transaction for what the client sends behind it.
    var opens: Bool { begins && !ends }
    /// A reader may find out that it writes: see ``Scheduler/readIsSettled(_:)``.
    var isUnsettled = false
    let enqueuedAt: ContinuousClock.Instant

    enum Lane: Hashable, Sendable {
        case reader
        case writer
    }
}
