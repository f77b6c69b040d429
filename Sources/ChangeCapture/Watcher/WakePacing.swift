/// Decides how long to sleep before the log's index is looked at again.
///
/// A file event comes before the commit that it announces is published, so a wake-up is followed by short naps, then by
/// short waits. After a capture the next commit may have been announced already, together with the last one; so the waits
/// stay short for a while.
struct WakePacing {
    enum Step: Equatable {
        /// Sleep without regard to events.
        case nap(Duration)
        /// Wait for an event, at most so long.
        case wait(Duration)
    }

    private enum Phase {
        case idle
        case woken(ContinuousClock.Instant)
        case captured(ContinuousClock.Instant)
    }

    private let limits: WatcherLimits
    private var phase = Phase.idle

    init(limits: WatcherLimits) { self.limits = limits }

    /// A file event or a commit of our own arrived.
    mutating func woke(at now: ContinuousClock.Instant) { phase = .woken(now) }

    /// Something was captured: the wake-up has been answered.
    mutating func captured(at now: ContinuousClock.Instant) { phase = .captured(now) }

    mutating func next(at now: ContinuousClock.Instant) -> Step {
        switch phase {
        case .idle:
            return .wait(limits.idlePollInterval)
        case .woken(let since) where now - since < limits.eagerPollDuration:
            return .nap(limits.eagerPollInterval)
        case .woken(let since) where now - since < limits.relaxedPollDuration:
            return .wait(limits.relaxedPollInterval)
        case .captured(let since) where now - since < limits.relaxedPollDuration:
            return .wait(limits.afterCapturePollInterval)
        case .woken, .captured:
            phase = .idle
            return .wait(limits.idlePollInterval)
        }
    }
}
