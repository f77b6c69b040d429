/// What the capture of one transaction may hold in memory, over all of its tables.
///
/// Past ``maxValueBytes`` the keys alone are kept, past ``maxRows`` the counts alone; ``TableRows/rowsOmitted`` and
/// ``TableRows/detail`` say so. Counts stay those of the net change.
public struct CaptureLimits: Sendable, Hashable {
    /// Rows kept one by one.
    public var maxRows: Int
    /// Bytes of row values kept, before and after images together.
    public var maxValueBytes: Int
    /// Bytes of the compressed sets of keys by which counts are netted past ``maxRows``.
    public var maxKeySetBytes: Int

    public init(
        maxRows: Int = 1_000_000,
        maxValueBytes: Int = 64 << 20,
        maxKeySetBytes: Int = 64 << 20
    ) {
        self.maxRows = maxRows
        self.maxValueBytes = maxValueBytes
        self.maxKeySetBytes = maxKeySetBytes
    }
}

/// How much of each changed row a transaction's capture keeps: what its most demanding subscriber asked for.
public enum CaptureLevel: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// How many rows were inserted, updated and deleted in each table.
    case counts
    /// Also which rows: rowids and primary keys.
    case keys
    /// Also every column of the row before and after the transaction.
    case values

    public static func < (left: CaptureLevel, right: CaptureLevel) -> Bool { left.rawValue < right.rawValue }
}

/// Every bound and interval of watching a database file, with the default that was measured to serve well.
public struct WatcherLimits: Sendable, Hashable {
    // MARK: Waking

    /// How often the log's index is looked at while a wake-up is fresh: file events arrive *before* a commit is published.
    public var eagerPollInterval: Duration = .microseconds(20)
    /// How long a wake-up is fresh.
    public var eagerPollDuration: Duration = .milliseconds(4)
    /// How often the index is looked at afterwards.
    public var relaxedPollInterval: Duration = .milliseconds(1)
    /// How often it is looked at after a capture.
    public var afterCapturePollInterval: Duration = .milliseconds(2)
    /// How long after the last activity it is looked at so often.
    public var relaxedPollDuration: Duration = .milliseconds(100)
    /// How often it is looked at with nothing going on. Also how late a change is noticed at most when no file event comes.
    public var idlePollInterval: Duration = .milliseconds(50)

    // MARK: Memory

    /// Bytes of pages kept from one commit to the next.
    public var maxPageCacheBytes: Int = 16 << 20
    /// What is kept of one transaction; a larger one is reported with less detail.
    public var capture = CaptureLimits(maxRows: 500_000)

    // MARK: Generated columns

    /// How long the VIRTUAL columns of one table may take in one commit, for each side of it. What is not computed by then is
    /// left out: see ``TableRows/columnsOmitted``.
    public var maxVirtualColumnTime: Duration = .seconds(1)
    /// How many times as long as they took such columns are then left out without a try.
    public var virtualColumnPauseFactor: Int = 20

    // MARK: The log

    /// From this many frames on the watcher copies the log into the database file itself, as any writer does after 1,000.
    public var checkpointFrameCount: Int = 1_000
    /// The least time between two such checkpoints.
    public var checkpointInterval: Duration = .milliseconds(2)
    /// From this many frames on the watcher takes the write lock for some milliseconds, so that the log can start from its
    /// beginning; nil never does. Only a writer that makes thousands of commits without any pause, and without waiting for
    /// the disk, makes the log so long: 100 MB with pages of 4 KiB. If it has no busy timeout it can get `SQLITE_BUSY`
    /// meanwhile, which is why the threshold is high.
    public var forcedRestartFrameCount: Int? = 25_000
    /// The least time between two forced restarts that did what they should.
    public var forcedRestartInterval: Duration = .milliseconds(1)
    /// How long a forced restart tries to get the write lock.
    public var forcedRestartLockWait: Duration = .milliseconds(50)
    /// The wait after a forced restart that did not succeed.
    public var forcedRestartRetryInterval: Duration = .milliseconds(100)
    /// The longest a forced restart holds the write lock while another process's checkpoint is in the way.
    public var forcedRestartMaxHold: Duration = .milliseconds(30)
    /// The longest a forced restart holds the write lock until live queries have evaluated what was committed.
    public var forcedRestartViewWait: Duration = .milliseconds(5)

    // MARK: Giving way

    /// How long another process's checkpoint may wait without progress before the watcher steps aside for it.
    public var stallPatience: Duration = .milliseconds(250)
    /// The longest it stays aside.
    public var stallMaxAside: Duration = .milliseconds(120)
    /// The least time between looking whether a checkpoint waits.
    public var stallProbeInterval: Duration = .milliseconds(2)
    /// How long to wait for a lock that somebody holds for a moment, before the file counts as used exclusively.
    public var busyTimeout: Duration = .seconds(2)
    /// How long copies of the index's header may differ before SQLite is asked to recover it: a writer died between them.
    public var tornHeaderPatience: Duration = .milliseconds(5)

    /// How long a commit of our own writer that is under way is waited for before what was found is reported. Nobody else can
    /// commit meanwhile.
    public var localCommitPatience: Duration = .seconds(30)

    // MARK: The file

    /// How often to look whether the log and its index are still in their place, besides when an event says that they may not
    /// be. Whether the path still names the file is looked at with every look at the log.
    public var identityInterval: Duration = .seconds(1)
    /// How long a program that writes over the file may take before the file is opened again all the same.
    public var overwritePatience: Duration = .seconds(10)
    /// How often to look whether it has come to its end.
    public var overwritePollInterval: Duration = .milliseconds(10)
    /// How often to try again while the file is gone or used exclusively.
    public var reopenInterval: Duration = .milliseconds(200)
    /// Up to this size a database in a rollback-journal mode is compared row by row with a private copy.
    public var maxShadowBytes: Int = 64 << 20

    public init() {}
}
