/// Decides when to pin the same snapshot once more, only to move to another lock.
///
/// A pin on one of the read marks 1 to 4 keeps writers from restarting the log. Once all frames are in the database file
/// a pin can hold read lock 0 instead, which does not. A checkpointer holds that lock for a moment after it has published
/// that it is done, so an attempt may fail and is repeated after 2, 4, 8… ms.
struct RepinPolicy {
    private static let firstGap: Duration = .milliseconds(2)
    private static let longestGap: Duration = .milliseconds(100)

    private var nextAttempt: ContinuousClock.Instant?
    private var gap = firstGap

    /// Whether to pin again now. Says so only once for each attempt.
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

    /// When an attempt is due that was put off.
    var deadline: ContinuousClock.Instant? { nextAttempt }
}
