import SQLiteConnection

/// What the write-ahead log of a database is like at a start, while nothing can be copied from it into the database file.
struct LogFindings {
    /// The newest commit.
    var salt: WALSalt
    var lastFrame: UInt32
    /// Frames that a checkpoint may have copied into the database file since the index of the log was created. A recovery of
    /// the index sets it to all frames, because what was copied before is unknown.
    var copiedFrameCount: UInt32
    /// The file as it is.
    var seal: FileSeal?
    /// The header of a frame; nil when it cannot be read.
    var frame: (UInt32) -> WALFrameHeader?
    /// Whether the database file has a page with a content that none of these frames has. Nil when contents prove nothing.
    var differs: ((_ page: UInt32, _ frames: [UInt32]) -> Bool)?
}

/// What can be captured of the commits since an earlier process.
enum Continuation: Hashable, Sendable {
    /// The commits in the frames after this one.
    case log(afterFrame: UInt32)
    /// The commits in all frames of the log, on top of the database file as it is.
    case file

    /// The last frame that is not new.
    var lastFrame: UInt32 {
        switch self {
        case .log(let frame): frame
        case .file: 0
        }
    }
}

/// Decides whether the commits since a ``CapturedState`` are all known, from evidence only SQLite's own writes can leave.
///
/// The commits in the same generation of the log are the ones after the captured frame, which its checksum identifies. The
/// pages before them are in earlier frames of the log, or in the database file unless a checkpoint has overwritten them there.
/// If the log is another one, the file must be unchanged since a time at which it was complete: then the log, if there is one,
/// has all commits since.
struct ContinuityCheck {
    let state: CapturedState
    let findings: LogFindings

    /// - Throws: `discontinuity` with the reason why some commits are unknown.
    func continuation() throws(WatchError) -> Continuation {
        // Device numbers can change with each boot, and inode numbers do not.
        if let file = state.file, let found = findings.seal?.identity, file.inode != found.inode {
            throw .discontinuity(Self.reason("the path names another file than before"))
        }
        let isUnchanged = state.seal != nil && state.seal == findings.seal
        if let mark = state.log, mark.salt == findings.salt {
            try check(mark, isUnchanged: isUnchanged)
            return .log(afterFrame: mark.lastFrame)
        }
        // The log was restarted or deleted since, or it had no frame yet: whatever it has now came after the seal.
        if isUnchanged { return .file }
        throw .discontinuity(Self.reason(elsewhere))
    }

    private func check(_ mark: LogMark, isUnchanged: Bool) throws(WatchError) {
        guard findings.lastFrame >= mark.lastFrame else {
            throw .discontinuity(
                EpochReason(
                    .logRecovered,
                    """
                    the write-ahead log ends at frame \(findings.lastFrame), before the last published commit at frame \
                    \(mark.lastFrame)
                    """
                )
            )
        }
        // SQLite before 3.41 can leave frames without salt and checksum, which cannot be recognized.
        guard let frame = findings.frame(mark.lastFrame), frame.salt == mark.salt, frame.checksum == mark.checksum,
            frame.pageCountAfterCommit == mark.pageCount
        else {
            throw .discontinuity(
                Self.reason("frame \(mark.lastFrame) of the write-ahead log is not the last published commit")
            )
        }
        // Complete with the captured commit, and no later one was copied: SQLite had no reason to write the file.
        if let seal = state.seal, seal != findings.seal, findings.copiedFrameCount <= mark.lastFrame {
            throw .discontinuity(
                EpochReason(
                    .overwritten,
                    "the file was written by a program other than SQLite while the service was down"
                )
            )
        }
        if !isUnchanged, let page = overwrittenPage(since: mark) {
            throw .discontinuity(
                Self.reason(
                    "a checkpoint has already copied later commits into the file, and the old content of page \(page) is gone"
                )
            )
        }
    }

    /// A page of the captured state that is neither in its frames nor any more in the database file, as far as is known.
    private func overwrittenPage(since mark: LogMark) -> UInt32? {
        let copied = min(findings.copiedFrameCount, findings.lastFrame)
        guard copied > mark.lastFrame else { return nil }
        var kept: Set<UInt32> = []
        for number in 1...mark.lastFrame {
            guard let frame = findings.frame(number) else { return 1 }
            kept.insert(frame.pageNumber)
        }
        var candidates: [UInt32: [UInt32]] = [:]
        for number in (mark.lastFrame + 1)...copied {
            guard let frame = findings.frame(number) else { return 1 }
            // After a commit that made the database smaller, a checkpoint truncates the file.
            if frame.isCommit, frame.pageCountAfterCommit < mark.pageCount { return mark.pageCount }
            guard frame.pageNumber <= mark.pageCount, !kept.contains(frame.pageNumber) else { continue }
            candidates[frame.pageNumber, default: []].append(number)
        }
        // What a checkpoint has overwritten is equal to one of the frames. The reverse is not true, and then it is not known.
        return candidates.first { page, frames in !(findings.differs?(page, frames) ?? false) }?.key
    }

    private var elsewhere: String {
        if let found = findings.seal, let seal = state.seal, found.identity != seal.identity {
            return "the path names another file than before"
        }
        return state.seal == nil
            ? "the write-ahead log that the last published commit was in is gone, and so are the commits since"
            : "the file was written, and the write-ahead log does not have all commits since"
    }

    static func reason(_ why: String) -> EpochReason {
        EpochReason(.restarted, "the service was restarted, and the commits meanwhile are unknown: \(why)")
    }
}

/// Keeps the log and the file as they are during the check and until the commits found are captured: while it exists, no
/// checkpoint copies frames, and no writer restarts the log. Writers go on.
///
/// One thread at a time. It has its own connection, because SQLite does not count the locks of one connection.
final class LogGuard {
    private let file: DatabaseFile
    private var locks: [WALLock] = []

    /// Nil when another process holds the locks for longer than the busy timeout.
    init?(path: String, limits: WatcherLimits) throws(WatchError) {
        file = try WatchError.wrap { () throws(SQLiteError) in
            try DatabaseFile(path: path, mode: .readWrite, busyTimeout: limits.busyTimeout)
        }
        let deadline = ContinuousClock.now + limits.busyTimeout
        while !takeLocks() {
            guard ContinuousClock.now < deadline else {
                file.close()
                return nil
            }
            nap(.milliseconds(1))
        }
    }

    /// A checkpoint copies only with the exclusive lock of readers that need no frame; a writer restarts the log only with
    /// those of all other readers. The second mark is left for the pin: see ``SnapshotPins``.
    private func takeLocks() -> Bool {
        guard file.tryLockShared(.readDatabaseOnly) else { return false }
        for lock in [1, 3, 4].map({ WALLock.read($0) }) where file.tryLockShared(lock) {
            locks = [.readDatabaseOnly, lock]
            return true
        }
        file.unlockShared(.readDatabaseOnly)
        return false
    }

    func release() {
        for lock in locks { file.unlockShared(lock) }
        locks = []
        file.close()
    }
}
