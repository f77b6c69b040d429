import SQLiteConnection

/// Checks that a path still names the watched file, with its log and its index beside it, and that only SQLite wrote the
/// file.
///
/// One thread at a time.
final class FileInspection {
    /// How far the capture is.
    struct Progress {
        /// The last captured commit.
        var captured: WALIndexHeader
        /// The size of the database in pages as of it.
        var pageCount: UInt32
        /// The database file is complete as of the pinned commit.
        var isDatabaseComplete: Bool
        /// The last captured commit of the log; nil when it has none.
        var mark: LogMark?
    }

    /// Why the capture of the file ends.
    enum Fault: Equatable {
        /// The database, its log or its index is not in its place. The last commits are still readable.
        case displaced(EpochReason)
        /// A program other than SQLite wrote the file: what is read from it now may be of no commit.
        case overwritten
        /// A program other than SQLite truncated or wrote the log: nothing in it can be relied on.
        case logDamaged
    }

    private let watched: WatchedFile
    private let pins: SnapshotPins
    private let store: PageStore
    private let probe: LockProbe?
    private let logFiles: LogFiles
    private var overwriting = OverwriteDetector()
    private var nextCompanionCheck: ContinuousClock.Instant

    /// - Parameters:
    ///   - logFiles: as they were when the index was mapped.
    ///   - captured: where the capture begins.
    init(
        _ watched: WatchedFile,
        _ pins: SnapshotPins,
        _ store: PageStore,
        _ probe: LockProbe?,
        logFiles: LogFiles,
        captured: WALIndexHeader
    ) {
        self.watched = watched
        self.pins = pins
        self.store = store
        self.probe = probe
        self.logFiles = logFiles
        nextCompanionCheck = .now + watched.limits.identityInterval
        // Records what later checks compare with. A fault is found again, and reported, by the next check.
        _ = checkFile(captured)
    }

    /// A writer restarted the log, after this frame and all before it had been copied.
    func logRestarted(afterFrame count: UInt32) { overwriting.logRestarted(afterFrame: count) }

    /// Checks whether the path still names the file, and whether only SQLite wrote it.
    func checkFile(_ captured: WALIndexHeader) -> Fault? {
        let copied = copiedFrameCount(captured)
        guard let stamp = FileStamp(path: watched.path), stamp.identity == watched.identity else {
            return .displaced(FileIdentity(path: watched.path) == nil ? .removed : .replaced)
        }
        // Otherwise a checkpoint may have run meanwhile.
        guard let copied, copied == copiedFrameCount(captured) else { return nil }
        let isOverwritten = overwriting.isOverwritten(.init(copiedFrameCount: copied, stamp: stamp)) {
            probe?.isHeldByOthers(.checkpoint) == true || copiedFrameCount(captured) != copied
        } lacksCopiedPage: {
            guard let header = pins.header(), header.salt == captured.salt else { return false }
            return store.lacksPage(ofCopiedFrame: copied, of: header, fileByteCount: stamp.byteCount)
        }
        return isOverwritten ? .overwritten : nil
    }

    /// An event concerned a file beside the database: check them soon.
    func companionsChanged(at now: ContinuousClock.Instant) { nextCompanionCheck = now }

    /// Checks, when it is time to, whether the log and its index are in their place.
    ///
    /// - Throws: when the file is not the same database any more, whatever its name.
    func checkCompanions(_ progress: Progress, at now: ContinuousClock.Instant) throws(WatchError) -> Fault? {
        guard now >= nextCompanionCheck else { return nil }
        nextCompanionCheck = now + watched.limits.identityInterval
        // While this process is connected, no program that uses SQLite deletes the log or its index.
        guard logFiles.areInPlace, store.isLogInPlace else { return .displaced(.logDeleted) }
        if isLogDamaged(progress) { return .logDamaged }
        // A program that does not use SQLite can overwrite or truncate the file in place. Its length is only known
        // while all of the log is copied into it.
        let isComplete =
            progress.isDatabaseComplete && pins.header()?.isSameCommit(as: progress.captured) == true
        guard store.isDatabaseInPlace(pageCount: isComplete ? max(1, progress.pageCount) : 1) else {
            throw .notADatabase(path: watched.path, reason: "it was overwritten or truncated while it was watched")
        }
        return nil
    }

    /// No connection of this process may use the log any more.
    func loseLog() { watched.file.loseLog() }

    /// Copies what a deleted log holds into the database, if no process can have begun another one meanwhile.
    func rescueLog() {
        guard watched.file.isLogLost, logFiles.isOnlyLogDeleted else { return }
        // Otherwise its commits are lost, as they are with any deleted log; the new epoch says so.
        try? watched.file.checkpoint()
    }

    /// Whether the log lacks the last captured commit, although its index has it.
    func isLogDamaged(_ progress: Progress) -> Bool {
        guard let mark = progress.mark, has(mark) else { return false }
        // A writer that begins the log again changes the index before it writes a frame.
        return !store.holds(mark) && has(mark)
    }

    /// Whether the index has the commit.
    private func has(_ mark: LogMark) -> Bool {
        pins.header().map { $0.salt == mark.salt && $0.maxFrame >= mark.lastFrame } ?? false
    }

    /// How many frames of the captured generation were copied into the file; nil when a checkpoint may be running.
    private func copiedFrameCount(_ captured: WALIndexHeader) -> UInt32? {
        guard let header = pins.header(), header.salt == captured.salt, !pins.isBeingBackfilled else { return nil }
        return pins.backfilledFrameCount
    }
}

/// Detects that a program other than SQLite overwrote the database file of a log.
///
/// In WAL mode only a checkpoint writes that file; a commit does not. A checkpoint with frames to copy records its goal
/// before its first write, and its result after its last one. So if no checkpoint runs at two checks and both find the
/// same number of copied frames, SQLite did not write the file in between, however many commits there were. The frames
/// are counted over all generations of the log: before a restart everything was copied. A program that sets the file's
/// time, as `touch` does, cannot be distinguished from one that wrote the file.
///
/// If a checkpoint did write the file, or another write can have left the same time, a page decides that the checkpoint
/// copied.
///
/// Source: [WAL-Index Checkpoint Information](https://sqlite.org/walformat.html).
struct OverwriteDetector {
    /// The state at one check.
    struct Look: Equatable {
        /// The frames of this generation of the log.
        var copiedFrameCount: UInt32
        var stamp: FileStamp
    }

    private var last: (copiedFrameCount: UInt64, stamp: FileStamp)?
    /// Whether a write after the last check leaves another time than the file had then.
    private var isSettled = false
    /// The frames of the earlier generations of the log.
    private var earlierFrameCount: UInt64 = 0

    /// A writer restarted the log, after this frame and all before it had been copied.
    mutating func logRestarted(afterFrame count: UInt32) { earlierFrameCount += UInt64(count) }

    /// Whether a program other than SQLite wrote the file since the last check.
    ///
    /// - Parameters:
    ///   - look: taken while no checkpoint was running.
    ///   - isCheckpointing: whether a checkpoint is running after all.
    ///   - lacksCopiedPage: whether the file lacks a page that the last checkpoint copied. Only called if needed.
    mutating func isOverwritten(
        _ look: Look,
        isCheckpointing: () -> Bool,
        lacksCopiedPage: () -> Bool
    ) -> Bool {
        let copied = earlierFrameCount + UInt64(look.copiedFrameCount)
        let isSettledNow = !look.stamp.isRecent
        guard let last, last.stamp != look.stamp || !isSettled && isSettledNow else {
            // A checkpoint can have written within the tick of the file system's clock.
            self.last = (copied, look.stamp)
            isSettled = isSettledNow
            return false
        }
        if isCheckpointing() { return false }
        self.last = (copied, look.stamp)
        isSettled = isSettledNow
        if last.stamp != look.stamp, last.copiedFrameCount == copied { return true }
        return lacksCopiedPage() && !isCheckpointing()
    }
}
