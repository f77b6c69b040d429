import SQLiteConnection

/// Two connections with alternating read transactions: at any time one of them keeps the last reported commit readable
/// while the other one moves to the newest.
///
/// One thread at a time.
final class SnapshotPins {
    /// The state that a read transaction keeps readable.
    struct Pin: Equatable {
        var header: WALIndexHeader
        /// Every frame of the snapshot is in the database file, and nothing newer can be copied there while the pin
        /// lasts.
        var isDatabaseComplete: Bool
        /// The pin holds the lock of readers that need no frame, so that writers can restart the log.
        var isDatabaseOnly: Bool
    }

    private let file: DatabaseFile
    private let index: WALIndex
    private let limits: WatcherLimits
    /// The connection that holds the pin, and the other one.
    private var holder: PinConnection
    private var other: PinConnection
    /// The read mark that the next steering leaves free.
    private var turn = 1

    init(path: String, file: DatabaseFile, index: WALIndex, limits: WatcherLimits) throws(WatchError) {
        self.file = file
        self.index = index
        self.limits = limits
        do {
            holder = try PinConnection(path: path, limits: limits)
            other = try PinConnection(path: path, limits: limits)
        } catch {
            throw .sqlite(error)
        }
    }

    func close() {
        holder.close()
        other.close()
    }

    /// The current header; nil while a writer is changing it, or died there.
    func header() -> WALIndexHeader? {
        index.withHeader { bytes in bytes.flatMap { WALIndexHeader($0) } }.flatMap { $0.isInitialized ? $0 : nil }
    }

    /// How many frames of the log a checkpoint has already copied into the database file.
    var backfilledFrameCount: UInt32 { index.backfilledFrameCount }

    /// How many frames a checkpoint may have copied, successful or not, since the index was created or recovered.
    var possiblyCopiedFrameCount: UInt32 { max(index.attemptedFrameCount, index.backfilledFrameCount) }

    /// Whether a checkpoint may be copying frames into the database file, or died doing so.
    var isBeingBackfilled: Bool { index.attemptedFrameCount != index.backfilledFrameCount }

    /// Pins the newest commit, in addition to the pinned one. Follow it with ``advance()`` or ``abandonNext()``.
    ///
    /// SQLite does not report the snapshot of a read transaction, so the header is read before and after its start and
    /// must be the same. Starting one also makes SQLite recover an index that a killed writer left torn.
    func pinNext() throws(WatchError) -> Pin {
        let deadline = ContinuousClock.now + limits.busyTimeout
        while true {
            let before = header()
            let wasBackfilled = before.map { $0.maxFrame == index.backfilledFrameCount } ?? false
            let steered = steer(toDatabaseOnly: wasBackfilled)
            let started = Result { () throws(SQLiteError) in try other.start() }
            for lock in steered { file.unlockShared(lock) }
            switch started {
            case .success:
                if let before, let after = header(), before == after {
                    return Pin(
                        header: after,
                        isDatabaseComplete: index.backfilledFrameCount == after.maxFrame,
                        isDatabaseOnly: wasBackfilled && !steered.isEmpty
                    )
                }
                other.end()
            case .failure(let error):
                guard error.code.primary == .busy else { throw .sqlite(error) }
                nap(.microseconds(200))
            }
            if ContinuousClock.now > deadline {
                throw .sqlite(
                    SQLiteError(code: .busy, message: "no stable snapshot of the log within \(limits.busyTimeout)")
                )
            }
        }
    }

    /// Releases the previous pin, if there is one.
    func advance() {
        holder.end()
        swap(&holder, &other)
    }

    func abandonNext() { other.end() }

    /// Releases the pin while `body` runs; then pins the newest commit.
    ///
    /// Leaves no gap when the caller holds ``WALLock/readDatabaseOnly`` meanwhile: then nothing is copied into the
    /// database file, so the log cannot be restarted.
    func withoutPin(_ body: () -> Void) throws(WatchError) -> Pin {
        holder.end()
        body()
        defer { advance() }
        return try pinNext()
    }

    /// Makes the next read transaction take a chosen lock: SQLite cannot take locks that are already held shared, so it
    /// takes the one left.
    ///
    /// Without this, two pins alternate between the first two marks, and a FULL checkpoint of another process, which
    /// waits for one after the other, never finishes. When no frame is needed, the lock for that case is taken in
    /// advance: this fails when a checkpointer still holds it, and then the pin did not get it.
    private func steer(toDatabaseOnly: Bool) -> [WALLock] {
        if toDatabaseOnly {
            return file.tryLockShared(.readDatabaseOnly) ? [.readDatabaseOnly] : []
        }
        turn = turn % 4 + 1
        return (1...4).lazy.filter { $0 != self.turn }.map { WALLock.read($0) }.filter { self.file.tryLockShared($0) }
    }
}

extension WALIndexHeader {
    /// Whether both describe the same commit of the same generation of the log.
    func isSameCommit(as other: WALIndexHeader) -> Bool { salt == other.salt && maxFrame == other.maxFrame }
}

/// A connection that only holds a read transaction.
final class PinConnection {
    private let connection: Connection
    private var statement: Statement?

    init(path: String, limits: WatcherLimits) throws(SQLiteError) {
        connection = try Connection(path: path, mode: .readWrite)
        connection.setBusyTimeout(limits.busyTimeout)
        // None of these statements depends on the schema, which SQLite would otherwise parse, and again after each change
        // of it. A size of the cache would.
        try connection.execute("PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0")
        // A statement that has returned a row and was not reset keeps its transaction open. This one reads only page 1.
        statement = try connection.prepare("PRAGMA schema_version", persistent: true)
        // Opens the log now, while it is certainly that of the watched file: at the first pin, which can be long after, its name
        // may be that of another log or of none.
        try start()
        end()
    }

    func start() throws(SQLiteError) { _ = try statement?.step() }

    func end() { statement?.reset() }

    func close() {
        // The connection is closed only once its last statement is gone.
        statement = nil
        connection.close()
    }
}

/// How many frames may be captured with a pin on an earlier frame, which saves the locks of a read transaction for each commit.
///
/// Nothing behind the pin can be copied into the database file.
enum PinReach {
    private static let maxFramesOfBurst: UInt32 = 4_000
    private static let maxFramesWithPauses: UInt32 = 64

    /// Zero when each commit needs a pin.
    ///
    /// - Parameters:
    ///   - isBurst: whether the log is restarted by force.
    ///   - logFrameCount: the frames of the log. From ``WatcherLimits/checkpointFrameCount`` on it is copied after commits, and a
    ///     writer with pauses can restart it only if nothing is left to copy.
    static func maxFrameCount(isBurst: Bool, logFrameCount: UInt32, _ limits: WatcherLimits) -> UInt32 {
        if isBurst { return maxFramesOfBurst }
        let isShort = Int(logFrameCount) + Int(maxFramesWithPauses) < limits.checkpointFrameCount
        return isShort ? maxFramesWithPauses : 0
    }
}

/// Decides when to pin the same snapshot again, only to move to another lock.
///
/// A pin on one of the read marks 1 to 4 keeps writers from restarting the log. Once all frames are in the database file
/// a pin can hold read lock 0 instead, which does not. A checkpointer holds that lock briefly after it has published
/// its result, so an attempt may fail and is repeated after 2, 4, 8… ms.
struct RepinPolicy {
    private static let firstGap: Duration = .milliseconds(2)
    private static let longestGap: Duration = .milliseconds(100)

    private var nextAttempt: ContinuousClock.Instant?
    private var gap = firstGap

    /// Whether to pin again now. True only once for each attempt.
    mutating func shouldRepin(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        guard status.frameCount > 0, status.isBackfilled, !status.isPinnedToDatabaseOnly else {
            nextAttempt = nil
            gap = Self.firstGap
            return false
        }
        if let nextAttempt, now < nextAttempt { return false }
        nextAttempt = now + gap
        gap = min(gap * 2, Self.longestGap)
        return true
    }

    /// When a postponed attempt is due.
    var deadline: ContinuousClock.Instant? { nextAttempt }
}
