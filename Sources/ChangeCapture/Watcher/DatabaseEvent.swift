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

/// Why the sequence of transactions was broken.
public enum EpochReason: Sendable, Hashable, CustomStringConvertible {
    /// The path names another file than before.
    case fileReplaced
    /// Somebody deleted the write-ahead log, or the index of it that its users share.
    case logDeleted
    /// The file was gone or locked, and nobody saw what happened to it meanwhile.
    case reopened
    /// A file with a rollback journal was too large for its rows to be told, and is not any more.
    case shrunk
    /// The journal mode changed while it was watched.
    case journalModeChanged(String)
    /// After a crash SQLite recovered the log to an earlier commit than the last one reported.
    case recovered
    /// A change was found that could not be decoded.
    case undecodable(String)

    public var description: String {
        switch self {
        case .fileReplaced: "the database file was replaced"
        case .logDeleted: "somebody deleted the -wal or the -shm file while it was in use"
        case .reopened: "the database was not watched for a while"
        case .shrunk: "the database has become small enough to be compared row by row"
        case .journalModeChanged(let mode): "the journal mode changed to \(mode)"
        case .recovered: "the write-ahead log was recovered to an earlier commit"
        case .undecodable(let reason): "a change could not be decoded: \(reason)"
        }
    }
}

/// Where a watcher delivers. Called on the watcher's own thread, one event at a time; while it does not return nothing is
/// captured, and nothing is lost either.
public protocol DatabaseEventSink: AnyObject, Sendable {
    func receive(_ event: DatabaseEvent)
}
