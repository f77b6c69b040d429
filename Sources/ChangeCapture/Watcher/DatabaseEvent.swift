package import SQLiteConnection

/// An event of a watcher; events arrive in the order in which they happened.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum DatabaseEvent: Sendable {
    /// A committed transaction: each exactly once, in commit order.
    case transaction(CapturedTransaction)
    /// Continuity is broken: transactions before and after this event do not join. A client that keeps a copy must take
    /// a new one.
    case epochChanged(EpochReason)
    /// The file is missing or cannot be used; the watcher keeps trying.
    case databaseGone(String)
    /// The file is usable again; an ``epochChanged(_:)`` follows.
    case databaseBack
    /// A message for the operator, sent once.
    case notice(String)
}

/// A ``ChangeSet`` and its attribution.
public struct CapturedTransaction: Sendable {
    public var changes: ChangeSet
    /// The token by which the service's own writer finds its commit; nil for commits of other processes.
    public var token: UInt64?
    /// The state of the file after the transaction; nil without a write-ahead log.
    package var mark: CommitMark?
    /// The same state, for a later process to continue from.
    package var logMark: LogMark?
    /// Why a commit of this process's writer may not survive a loss of power.
    package var syncFailure: SQLiteError?
    /// Whether ``DatabaseEventSink/endOfBatch()`` follows, perhaps after further transactions.
    package var isInBatch = false

    public init(changes: ChangeSet, token: UInt64? = nil) {
        self.changes = changes
        self.token = token
    }
}

/// Receives the events of a watcher. Called on the watcher's own thread, one event at a time; until it returns nothing
/// is captured, and nothing is lost either.
public protocol DatabaseEventSink: AnyObject, Sendable {
    func receive(_ event: DatabaseEvent)

    /// All transactions that were captured together have been delivered.
    func endOfBatch()
}

extension DatabaseEventSink {
    public func endOfBatch() {}
}

/// Why the sequence of transactions was broken: a code for programs and a sentence for people.
public struct EpochReason: Sendable, Hashable, CustomStringConvertible {
    /// Codes are strings on the wire; more may be added.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The path names another file than before: a file was renamed over it, or a link or a directory of the path
        /// changed.
        public static let replaced = Code(rawValue: "replaced")
        /// The file was deleted or moved away, and exists again.
        public static let removed = Code(rawValue: "removed")
        /// A program other than SQLite overwrote or truncated the file.
        public static let overwritten = Code(rawValue: "overwritten")
        /// The write-ahead log or its index was deleted, truncated or overwritten while it was in use.
        public static let logLost = Code(rawValue: "log-lost")
        /// SQLite recovered the write-ahead log to an earlier commit than the last one published.
        public static let logRecovered = Code(rawValue: "log-recovered")
        /// The journal mode changed.
        public static let journalMode = Code(rawValue: "journal-mode")
        /// A change could not be decoded.
        public static let undecodable = Code(rawValue: "undecodable")
        /// The database was not watched for a while, or not closely enough to know the changes.
        public static let stateLost = Code(rawValue: "state-lost")
        /// The service was restarted, and the commits made meanwhile are unknown.
        public static let restarted = Code(rawValue: "restarted")
        /// The system could not read or write.
        public static let ioError = Code(rawValue: "io-error")
    }

    public var code: Code
    /// One sentence without a full stop.
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

extension EpochReason {
    package static let replaced = EpochReason(.replaced, "the path names another file than before")
    static let removed = EpochReason(.removed, "the database file was deleted or moved away, and exists again")
    static let overwritten = EpochReason(.overwritten, "something other than SQLite wrote over the database file")
    static let logDeleted = EpochReason(.logLost, "the -wal or the -shm file was deleted while it was in use")
    static let logDamaged = EpochReason(
        .logLost,
        "something other than SQLite truncated or overwrote the -wal file while it was in use"
    )
    static let shrunk = EpochReason(
        .stateLost,
        "the database has become small enough to be compared row by row; earlier changes were reported without rows"
    )

    static func journalMode(_ mode: String) -> EpochReason {
        EpochReason(.journalMode, "the journal mode changed to \(mode)")
    }

    static func stateLost(_ why: String) -> EpochReason {
        EpochReason(.stateLost, "the database was not watched for a while: \(why)")
    }
}
