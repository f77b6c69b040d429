/// The memory limits for the capture of one transaction, over all of its tables.
///
/// Beyond ``maxValueBytes`` only the keys are kept, beyond ``maxRows`` only the counts; ``TableRows/rowsOmitted`` and
/// ``TableRows/detail`` report it. The counts remain those of the net change.
public struct CaptureLimits: Sendable, Hashable {
    /// Rows kept individually.
    public var maxRows: Int
    /// Bytes of row values kept, before and after images together.
    public var maxValueBytes: Int
    /// Bytes of the compressed sets of keys by which changes are coalesced beyond ``maxRows``.
    public var maxKeySetBytes: Int

    public init(
        maxRows: Int = 500_000,
        maxValueBytes: Int = 64 << 20,
        maxKeySetBytes: Int = 64 << 20
    ) {
        self.maxRows = maxRows
        self.maxValueBytes = maxValueBytes
        self.maxKeySetBytes = maxKeySetBytes
    }
}

/// The detail that a transaction's capture keeps of each changed row: the highest that a subscriber asked for.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum CaptureLevel: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// How many rows were inserted, updated and deleted in each table.
    case counts
    /// In addition, which rows: rowids and primary keys.
    case keys
    /// In addition, every column of the row before and after the transaction.
    case values

    public static func < (left: CaptureLevel, right: CaptureLevel) -> Bool { left.rawValue < right.rawValue }
}

/// All limits and intervals of watching a database file; the defaults were chosen by measurement.
public struct WatcherLimits: Sendable, Hashable {
    // MARK: Wake-ups

    /// How often the log's index is checked right after a wake-up: file events arrive *before* a commit is published.
    public var eagerPollInterval: Duration = .microseconds(20)
    /// How long the eager interval applies after a wake-up.
    public var eagerPollDuration: Duration = .milliseconds(4)
    /// How often the index is checked afterwards.
    public var relaxedPollInterval: Duration = .milliseconds(1)
    /// How often the index is checked after a capture.
    public var afterCapturePollInterval: Duration = .milliseconds(2)
    /// How long the relaxed interval applies after the last activity.
    public var relaxedPollDuration: Duration = .milliseconds(100)
    /// How often the index is checked without any activity. Also the maximum delay of a change when no file event
    /// arrives.
    public var idlePollInterval: Duration = .milliseconds(50)

    // MARK: Memory

    /// Bytes of pages kept from one commit to the next.
    public var maxPageCacheBytes: Int = 16 << 20
    /// The limits of one transaction; a larger one is reported with less detail.
    public var transaction = CaptureLimits()

    // MARK: Generated columns

    /// How long the VIRTUAL columns of one table may take in one commit, for each side of it. Columns that are not
    /// computed by then are omitted: see ``TableRows/columnsOmitted``.
    public var maxVirtualColumnTime: Duration = .seconds(1)
    /// How many times their duration such columns are then omitted without a try.
    public var virtualColumnPauseFactor: Int = 20

    // MARK: The log

    /// From this number of frames on the watcher copies the log into the database file itself, as any writer does after
    /// 1,000.
    public var checkpointFrameCount: Int = 1_000
    /// The minimum time between two such checkpoints.
    public var checkpointInterval: Duration = .milliseconds(2)
    /// From this number of frames on the watcher takes the write lock for some milliseconds, so that the log can start
    /// from its beginning, if commits come without a pause; nil disables this. Above 1,000 frames every commit of such a
    /// writer copies a frame into the database file and waits for the disk. If it has no busy timeout it can get
    /// `SQLITE_BUSY` while the lock is held.
    public var forcedRestartFrameCount: Int? = 1_000
    /// The same for fewer than 2,000 commits a second: there the log restarts by itself in one of the pauses.
    public var pacedRestartFrameCount: Int = 25_000
    /// The minimum time between two successful forced restarts.
    public var forcedRestartInterval: Duration = .milliseconds(1)
    /// How long a forced restart tries to get the write lock. It is given up when it has not caught up with the writers
    /// after ten times as long.
    public var forcedRestartLockWait: Duration = .milliseconds(50)
    /// The wait after a failed forced restart.
    public var forcedRestartRetryInterval: Duration = .milliseconds(5)
    /// How long a forced restart holds the write lock at a time while it decodes what is committed already: shorter than
    /// the millisecond for which SQLite's busy handler sleeps first. In between a writer commits at least once.
    public var forcedRestartMaxCatchUp: Duration = .microseconds(900)
    /// The maximum time that a forced restart holds the write lock while another process's checkpoint is in the way.
    public var forcedRestartMaxHold: Duration = .milliseconds(30)
    /// The longest a forced restart holds the write lock until live queries have evaluated what was committed.
    public var forcedRestartViewWait: Duration = .milliseconds(5)

    // MARK: Yielding to checkpoints

    /// How long another process's checkpoint may wait without progress before the watcher steps aside.
    public var stallPatience: Duration = .milliseconds(250)
    /// The maximum time that it stays aside.
    public var stallMaxAside: Duration = .milliseconds(120)
    /// The minimum time between two checks for a waiting checkpoint.
    public var stallProbeInterval: Duration = .milliseconds(2)
    /// How long to wait for a lock that another connection holds briefly, before the file counts as used exclusively.
    public var busyTimeout: Duration = .seconds(2)
    /// How long copies of the index's header may differ before the watcher makes SQLite recover it: a writer died
    /// between them.
    public var tornHeaderPatience: Duration = .milliseconds(5)

    /// How long the watcher waits for a running commit of this process's writer before it reports what it found. No
    /// other connection can commit meanwhile.
    public var localCommitPatience: Duration = .seconds(30)

    // MARK: The file

    /// How often to check that the log and its index are still in their place, besides after an event that concerns
    /// them. Whether the path still names the file is checked every time the log is.
    public var identityInterval: Duration = .seconds(1)
    /// How long a program may take to overwrite the file before the watcher opens the file again anyway.
    public var overwritePatience: Duration = .seconds(10)
    /// How often to check whether it has finished.
    public var overwritePollInterval: Duration = .milliseconds(10)
    /// How often to try again while the file is missing or used exclusively.
    public var reopenInterval: Duration = .milliseconds(200)
    /// How long a watcher that stops may copy the log into the database file, so that a later one can continue from it.
    public var restartPreparation: Duration = .milliseconds(200)
    /// Up to this size a database in a rollback-journal mode is compared row by row with a private copy.
    public var maxShadowBytes: Int = 64 << 20

    public init() {}
}
