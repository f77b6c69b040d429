/// What the scheduler knows of a query.
struct Ticket: Hashable, Sendable {
    let id: UInt64
    let client: ClientKey
    /// Whose share of the queue it takes; nil for one of its client's own. The same for all queries of a client.
    var identity: String?
    var share: QueueShare { identity.map { .identity($0) } ?? .client(client) }
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

/// What the queue is divided by.
enum QueueShare: Hashable, Sendable {
    /// All clients of an identity together.
    case identity(String)
    case client(ClientKey)
}
