import SQLiteConnection

/// Runs PASSIVE checkpoints on its own thread and connection, so that capturing does not wait for the disk.
final class Checkpointer: Sendable {
    private struct State {
        var isRequested = false
        var isRunning = false
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

    /// Whether a requested checkpoint has not ended.
    var isBusy: Bool { state.withLock { $0.isRequested || $0.isRunning } }

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
                state.isRunning = true
                return true
            }
            guard next != false else { break }
            guard next == true else { continue }
            if connection == nil { connection = try? open(path) }
            // Busy means that another connection is running a checkpoint.
            _ = try? connection?.checkpoint(.passive)
            state.update { $0.isRunning = false }
        }
        connection?.close()
    }

    static func open(_ path: String) throws(SQLiteError) -> Connection {
        let connection = try Connection(path: path, mode: .readWrite)
        try connection.execute("PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; PRAGMA schema_version")
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
    /// The checkpoints that were requested for the next forced restart.
    private var preparations = 0

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

    /// Whether commits follow one another without pauses, and the log is restarted by force.
    var isBurst: Bool { isWriterRestless && limits.forcedRestartFrameCount != nil }

    /// What to do about the length of the log.
    enum RestartStep: Equatable {
        case wait
        /// Copy the log in the background, while commits are captured.
        case prepare
        /// The disk is slower than the writers: hold them back once, briefly.
        case slowDown
        /// The capture is slower than the writers: hold them back until it has caught up.
        case catchUp
        /// Hold back the writers until the log can restart. Nothing was copied before if `isPrepared` is false.
        case force(isPrepared: Bool)
    }

    /// Whether to hold back the writers for a restart of the log. Call it right after a capture.
    ///
    /// A writer that makes pauses is held back rarely, so nothing is prepared for it.
    ///
    /// - Parameters:
    ///   - uncapturedFrameCount: the frames of commits that follow the captured ones in the log.
    ///   - isCheckpointing: whether a checkpoint that was requested has not ended.
    mutating func restartStep(
        _ status: LogStatus,
        uncapturedFrameCount: UInt32,
        isCheckpointing: Bool,
        at now: ContinuousClock.Instant
    ) -> RestartStep {
        guard let least = limits.forcedRestartFrameCount else { return .wait }
        if isWriterRestless, Int(uncapturedFrameCount) > least * Self.maxThresholdsAhead {
            window = nil
            return .catchUp
        }
        let threshold = status.isUnsynced ? 1 : isWriterRestless ? least : max(least, limits.pacedRestartFrameCount)
        guard status.frameCount >= UInt32(clamping: threshold) else {
            preparations = 0
            return .wait
        }
        if let nextRestart, now < nextRestart { return .wait }
        guard isWriterRestless, !status.isUnsynced else { return .force(isPrepared: false) }
        let ahead = Int(status.frameCount - min(status.frameCount, status.backfilledFrameCount))
        if preparations > 0, isCheckpointing {
            guard ahead > least * Self.maxThresholdsAhead else { return .wait }
            window = nil
            return .slowDown
        }
        // What was written during one checkpoint can still be much: the writers would wait for all of it.
        guard preparations > 0, ahead <= least || preparations == Self.maxPreparations else {
            preparations += 1
            return .prepare
        }
        return .force(isPrepared: true)
    }
    private static let maxPreparations = 4
    /// How far the log may be ahead of the capture, and of the database file while that is being written, in thresholds: 32 MB with
    /// pages of 4 KiB.
    private static let maxThresholdsAhead = 8

    /// Records the result of a forced restart.
    mutating func forcedRestart(succeeded: Bool, at now: ContinuousClock.Instant) {
        preparations = 0
        // Commits that were held back say nothing about pauses.
        window = nil
        nextRestart = now + (succeeded ? limits.forcedRestartInterval : limits.forcedRestartRetryInterval)
    }
}

/// The input of the decisions about the log.
struct LogStatus: Equatable {
    /// Frames of the captured commits.
    var frameCount: UInt32
    /// Frames that are also in the database file.
    var backfilledFrameCount: UInt32
    /// The pin holds the lock of readers that need no frame, so that the log can be restarted.
    var isPinnedToDatabaseOnly: Bool
    /// A sync of the log has failed: its commits are durable only in the database file.
    var isUnsynced = false

    var isBackfilled: Bool { backfilledFrameCount == frameCount }
}
