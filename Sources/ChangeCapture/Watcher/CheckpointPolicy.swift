/// Decides when the watcher shortens the log by its own work.
///
/// Watching makes the log longer: a checkpoint goes no further than the oldest pin, and the log restarts only in a moment
/// without readers. Whoever causes that has to clean up.
struct CheckpointPolicy {
    private let limits: WatcherLimits
    private var nextCheckpoint: ContinuousClock.Instant?
    private var nextRestart: ContinuousClock.Instant?

    init(limits: WatcherLimits) { self.limits = limits }

    /// Whether to copy frames into the database file, in the background and without waiting for anybody.
    mutating func shouldCheckpoint(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        guard status.frameCount >= UInt32(clamping: limits.checkpointFrameCount), !status.isBackfilled else {
            return false
        }
        if let nextCheckpoint, now < nextCheckpoint { return false }
        nextCheckpoint = now + limits.checkpointInterval
        return true
    }

    /// Whether to make the writers pause for a restart of the log. Asked right after a capture.
    mutating func shouldForceRestart(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        guard let threshold = limits.forcedRestartFrameCount, status.frameCount >= UInt32(clamping: threshold) else {
            return false
        }
        if let nextRestart, now < nextRestart { return false }
        return true
    }

    /// A forced restart was tried.
    mutating func forcedRestart(succeeded: Bool, at now: ContinuousClock.Instant) {
        nextRestart = now + (succeeded ? limits.forcedRestartInterval : limits.forcedRestartRetryInterval)
    }
}
