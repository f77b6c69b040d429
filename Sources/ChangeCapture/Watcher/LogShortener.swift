import SQLiteConnection

/// Makes the writers pause for some milliseconds so that the log can start from its beginning.
///
/// A log restarts when a writer finds every frame copied and no reader on a mark. Under a writer that never pauses that
/// moment does not come, because there is always one commit that a pin of ours has not passed. With the write lock held it
/// does.
final class LogShortener {
    private let limits: WatcherLimits
    /// Holds the write lock.
    private let locker: Connection
    /// Copies the frames.
    private let copier: Connection

    init(path: String, limits: WatcherLimits) throws(SQLiteError) {
        self.limits = limits
        locker = try Checkpointer.open(path)
        copier = try Checkpointer.open(path)
    }

    func close() {
        locker.close()
        copier.close()
    }

    /// Copies what can be copied, without the lock; most of the work.
    func prepare() {
        // Busy means that somebody else is doing it.
        _ = try? copier.checkpoint(.passive)
    }

    /// Runs `body` with the write lock held, if it can be had; false when it could not.
    ///
    /// Tries without pause: SQLite's own waiting sleeps, and never gets the lock from a writer that does not.
    func withWriteLock(_ body: () throws(WatchError) -> Void) throws(WatchError) -> Bool {
        let deadline = ContinuousClock.now + limits.forcedRestartLockWait
        while (try? locker.execute("BEGIN IMMEDIATE")) == nil {
            if ContinuousClock.now > deadline { return false }
        }
        defer { try? locker.execute("ROLLBACK") }
        try body()
        return true
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
