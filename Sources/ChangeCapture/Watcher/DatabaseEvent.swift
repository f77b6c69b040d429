/// What a watcher reports, in the order in which it happened.
public enum DatabaseEvent: Sendable {
    /// A committed transaction: each exactly once, in commit order.
    case transaction(CapturedTransaction)
    /// Continuity cannot be proved from here on: what was reported before and what will be do not join. Whoever keeps a copy
    /// must take a new one.
    case epochChanged(EpochReason)
    /// The file is not there or cannot be used; the watcher keeps trying.
    case databaseGone(String)
    /// It is there again; an ``epochChanged(_:)`` follows.
    case databaseBack
    /// Something the operator should know, once.
    case notice(String)
}

/// A ``ChangeSet`` and how it is to be attributed.
public struct CapturedTransaction: Sendable {
    public var changes: ChangeSet
    /// What the service's own writer gave to find its commit by; nil for everybody else's.
    public var token: UInt64?
    /// The state of the file after it; nil without a write-ahead log.
    package var mark: CommitMark?

    public init(changes: ChangeSet, token: UInt64? = nil) {
        self.changes = changes
        self.token = token
    }
}

/// Where a watcher delivers. Called on the watcher's own thread, one event at a time; while it does not return nothing is
/// captured, and nothing is lost either.
public protocol DatabaseEventSink: AnyObject, Sendable {
    func receive(_ event: DatabaseEvent)
}
