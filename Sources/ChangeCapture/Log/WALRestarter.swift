import SQLiteConnection

/// Holds back the writers, a millisecond at a time, so that the log can start from its beginning.
///
/// The log restarts when a writer finds every frame copied and no reader on a mark. Under a writer that never pauses
/// this does not happen, because there is always one commit that a pin of this process has not passed. It does happen
/// while this process holds the write lock.
///
/// A writer can commit faster than its commits are decoded. So that the rest becomes shorter, the lock is held in turns.
/// A turn is shorter than the first sleep of SQLite's busy handler, one millisecond: its later ones are longer and longer,
/// up to 100 ms, and a writer that is refused several times in a row sleeps through the gaps between the turns. So the
/// next turn begins only after a commit: when there is none, nothing needs to be held back.
final class WALRestarter {
    private enum Turn {
        /// No restart is in progress.
        case none
        case held(until: ContinuousClock.Instant)
        /// Writers have the lock; the log ended with this frame when they got it.
        case released(at: UInt32)
    }

    private let limits: WatcherLimits
    /// Holds the write lock.
    private let locker: Connection
    /// Copies the frames.
    private let copier: Connection
    private var turn = Turn.none
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

    var isLocked: Bool {
        if case .held = turn { true } else { false }
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
                turn = .held(until: .now + limits.forcedRestartMaxCatchUp)
                return true
            }
        } while ContinuousClock.now < deadline
        return false
    }

    /// Releases the write lock and ends the turns.
    func unlock() {
        release()
        turn = .none
    }

    private func release() {
        // Closing the connection would end a transaction that cannot be rolled back.
        if isLocked { try? locker.execute("ROLLBACK") }
    }

    /// Call before a commit is decoded. During a restart it takes and releases the lock in turns, and releases it before a
    /// long commit.
    ///
    /// - Parameters:
    ///   - frameCount: the frames of the commit.
    ///   - lastFrame: the last frame of the log now. Only called if needed.
    func commitWillBeDecoded(frameCount: Int, lastFrame: () -> UInt32) {
        switch turn {
        case .none: return
        case .held(let end):
            guard frameCount > Self.maxFrames || ContinuousClock.now >= end else { return }
            release()
            turn = .released(at: lastFrame())
        case .released(let frame):
            guard frameCount <= Self.maxFrames, lastFrame() != frame else { return }
            _ = lock(within: limits.forcedRestartMaxCatchUp)
        }
    }

    /// Waits until a writer has committed since the last turn; not for long, as perhaps none wants to.
    ///
    /// - Parameter lastFrame: the last frame of the log now.
    func waitForWriter(lastFrame: () -> UInt32) {
        guard case .released(let frame) = turn else { return }
        let deadline = ContinuousClock.now + limits.forcedRestartMaxCatchUp * 2
        while lastFrame() == frame, ContinuousClock.now < deadline { nap(.microseconds(50)) }
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
