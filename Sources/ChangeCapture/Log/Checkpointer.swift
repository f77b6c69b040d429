import SQLiteConnection

/// Runs PASSIVE checkpoints on its own thread and connection, so that capturing does not wait for the disk.
final class Checkpointer: Sendable {
    private struct State {
        var isRequested = false
        var isStopped = false
    }

    private let state: Monitor<State>
    private let thread: NamedThread

    init(path: String) throws(WatchError) {
        let state = Monitor(State())
        self.state = state
        thread = try WatchError.startThread("checkpointer") { Self.run(path: path, state: state) }
    }

    /// Requests a checkpoint; does nothing if one is already requested.
    func request() {
        state.update { $0.isRequested = true }
    }

    /// Waits for a running checkpoint to end, and closes the connection.
    func stop() {
        state.update { $0.isStopped = true }
        thread.join()
    }

    private static func run(path: String, state: Monitor<State>) {
        var connection: Connection?
        while true {
            // The timeout only bounds the wait; its end has no effect.
            let next: Bool? = state.wait(atMost: .seconds(3_600)) { state in
                if state.isStopped { return false }
                guard state.isRequested else { return nil }
                state.isRequested = false
                return true
            }
            guard next != false else { break }
            guard next == true else { continue }
            if connection == nil { connection = try? open(path) }
            // Busy means that another connection is running a checkpoint.
            _ = try? connection?.checkpoint(.passive)
        }
        connection?.close()
    }

    static func open(_ path: String) throws(SQLiteError) -> Connection {
        let connection = try Connection(path: path, mode: .readWrite)
        try connection.execute("PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; SELECT 1 FROM sqlite_schema")
        return connection
    }
}

/// Decides when the watcher shortens the log itself.
///
/// Watching makes the log longer: a checkpoint copies no further than the oldest pin, and the log restarts only while
/// there are no readers. So the watcher has to compensate.
struct CheckpointPolicy {
    private let limits: WatcherLimits
    private var nextCheckpoint: ContinuousClock.Instant?
    private var nextRestart: ContinuousClock.Instant?
    /// The commits captured since an instant, and whether they came without pauses before that.
    private var window: (start: ContinuousClock.Instant, commits: Int)?
    private var isWriterRestless = false

    init(limits: WatcherLimits) { self.limits = limits }

    /// Whether to copy frames into the database file, in the background and without waiting for other connections.
    mutating func shouldCheckpoint(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        let threshold = status.isUnsynced ? 1 : UInt32(clamping: limits.checkpointFrameCount)
        guard status.frameCount >= threshold, !status.isBackfilled else {
            return false
        }
        if let nextCheckpoint, now < nextCheckpoint { return false }
        nextCheckpoint = now + limits.checkpointInterval
        return true
    }

    /// Counts the commits of a capture, which tell how fast they come.
    mutating func captured(commits: Int, at now: ContinuousClock.Instant) {
        let (start, count) = window.map { ($0.start, $0.commits + commits) } ?? (now, 0)
        let elapsed = now - start
        guard elapsed >= Self.rateWindow else {
            window = (start, count)
            return
        }
        isWriterRestless = Double(count) >= Self.restlessCommitsPerSecond * (elapsed / .seconds(1))
        window = (now, 0)
    }
    private static let rateWindow: Duration = .milliseconds(4)
    private static let restlessCommitsPerSecond = 2_000.0

    /// Whether to hold back the writers for a restart of the log. Call it right after a capture.
    mutating func shouldForceRestart(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        guard let least = limits.forcedRestartFrameCount else { return false }
        let threshold = status.isUnsynced ? 1 : isWriterRestless ? least : max(least, limits.pacedRestartFrameCount)
        guard status.frameCount >= UInt32(clamping: threshold) else { return false }
        if let nextRestart, now < nextRestart { return false }
        return true
    }

    /// Records the result of a forced restart.
    mutating func forcedRestart(succeeded: Bool, at now: ContinuousClock.Instant) {
        nextRestart = now + (succeeded ? limits.forcedRestartInterval : limits.forcedRestartRetryInterval)
    }
}

/// Holds back the writers for some milliseconds so that the log can start from its beginning.
///
/// The log restarts when a writer finds every frame copied and no reader on a mark. Under a writer that never pauses
/// this does not happen, because there is always one commit that a pin of this process has not passed. It does happen
/// while this process holds the write lock.
///
/// A writer can commit faster than its commits are decoded. So that the rest becomes shorter, and no writer waits for
/// all of it, the lock is held in turns: for most of the time, but never for long.
final class WALRestarter {
    private let limits: WatcherLimits
    /// Holds the write lock.
    private let locker: Connection
    /// Copies the frames.
    private let copier: Connection
    private(set) var isLocked = false
    /// When to release the lock, or to try to take it again; nil outside of a restart.
    private var endOfTurn: ContinuousClock.Instant?
    /// How long writers have the lock until it is taken again.
    private var gap: Duration { limits.forcedRestartMaxCatchUp / 6 }
    /// A commit of more frames is decoded without the lock.
    private static let maxFrames = 256

    init(path: String, limits: WatcherLimits) throws(SQLiteError) {
        self.limits = limits
        locker = try Checkpointer.open(path)
        copier = try Checkpointer.open(path)
    }

    func close() {
        locker.close()
        copier.close()
    }

    /// Copies and syncs as much as possible without the lock; this is most of the work.
    func prepare() {
        // Busy means that another connection is running a checkpoint.
        _ = try? copier.checkpoint(.passive)
    }

    /// Takes the write lock; false when that was impossible.
    ///
    /// Tries without pause: SQLite's own busy handler sleeps, and never gets the lock from a writer without pauses.
    func lock() -> Bool { lock(within: limits.forcedRestartLockWait) }

    private func lock(within patience: Duration) -> Bool {
        let deadline = ContinuousClock.now + patience
        repeat {
            // Busy means that a writer has the lock.
            if (try? locker.execute("BEGIN IMMEDIATE")) != nil {
                isLocked = true
                endOfTurn = .now + limits.forcedRestartMaxCatchUp
                return true
            }
        } while ContinuousClock.now < deadline
        endOfTurn = .now + gap
        return false
    }

    /// Releases the write lock and ends the turns.
    func unlock() {
        release()
        endOfTurn = nil
    }

    private func release() {
        // Closing the connection would end a transaction that cannot be rolled back.
        if isLocked { try? locker.execute("ROLLBACK") }
        isLocked = false
    }

    /// Call before a commit is decoded. During a restart it takes and releases the lock in turns, and releases it before a
    /// long commit.
    func commitWillBeDecoded(frameCount: Int) {
        guard let endOfTurn else { return }
        let now = ContinuousClock.now
        if isLocked {
            guard now >= endOfTurn || frameCount > Self.maxFrames else { return }
            release()
            self.endOfTurn = now + gap
        } else if now >= endOfTurn, frameCount <= Self.maxFrames {
            _ = lock(within: gap)
        }
    }

    /// Copies the rest of the frames while the lock is held.
    func finish() {
        let deadline = ContinuousClock.now + limits.forcedRestartMaxHold
        while true {
            do {
                try copier.checkpoint(.passive)
                return
            } catch {
                // The automatic checkpoint of another process is running.
                guard error.code.primary == .busy, ContinuousClock.now < deadline else { return }
                nap(.microseconds(50))
            }
        }
    }
}

/// The input of the decisions about the log.
struct LogStatus: Equatable {
    /// Committed frames in the log.
    var frameCount: UInt32
    /// Frames that are also in the database file.
    var backfilledFrameCount: UInt32
    /// The pin holds the lock of readers that need no frame, so that the log can be restarted.
    var isPinnedToDatabaseOnly: Bool
    /// A sync of the log has failed: its commits are durable only in the database file.
    var isUnsynced = false

    var isBackfilled: Bool { backfilledFrameCount == frameCount }
}
