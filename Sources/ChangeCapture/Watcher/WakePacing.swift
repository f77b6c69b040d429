/// Decides how long to sleep before the next check of the log's index.
///
/// A file event comes before the commit that it announces is published, so a wake-up is followed by short naps, then by
/// short waits. After a capture the same event may have announced another commit; so the waits stay short for a while.
struct WakePacing {
    enum Step: Equatable {
        /// Sleep and ignore events.
        case nap(Duration)
        /// Wait for an event, for at most this duration.
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

    /// A file event or an own commit arrived.
    mutating func woke(at now: ContinuousClock.Instant) { phase = .woken(now) }

    /// A commit was captured: the wake-up has been handled.
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

/// Detects that another process's checkpoint waits for a pin of this process.
///
/// A FULL, RESTART or TRUNCATE checkpoint reads a slot's mark once and then waits until that slot is free, while it
/// blocks every writer. If a new pin has moved into that slot meanwhile, the checkpoint waits until its busy timeout.
struct StallDetector {
    private let limits: WatcherLimits
    private var nextProbe: ContinuousClock.Instant?
    private var stall: (since: ContinuousClock.Instant, backfilled: UInt32)?
    private var patience: Duration

    init(limits: WatcherLimits) {
        self.limits = limits
        patience = limits.stallPatience
    }

    /// A checkpoint seems to wait: keep checking at short intervals.
    var isSuspicious: Bool { stall != nil }

    /// Whether to test now if another process holds the checkpoint lock.
    mutating func shouldProbe(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        guard !status.isBackfilled, !status.isPinnedToDatabaseOnly else {
            stall = nil
            return false
        }
        if let nextProbe, now < nextProbe { return false }
        nextProbe = now + limits.stallProbeInterval
        return true
    }

    /// Takes the test's result; true when it is time to step aside.
    mutating func shouldStepAside(
        isLockHeld: Bool,
        _ status: LogStatus,
        at now: ContinuousClock.Instant
    ) -> Bool {
        guard isLockHeld else {
            stall = nil
            patience = limits.stallPatience
            return false
        }
        guard let stall, stall.backfilled == status.backfilledFrameCount else {
            self.stall = (now, status.backfilledFrameCount)
            return false
        }
        guard now - stall.since >= patience else { return false }
        self.stall = nil
        // A checkpointer that is still there after this process stepped aside may be waiting for another reader.
        patience = min(patience * 2, limits.stallPatience * 4)
        return true
    }
}
