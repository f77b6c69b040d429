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

/// Notices when another process's checkpoint waits for one of our pins.
///
/// A FULL, RESTART or TRUNCATE checkpoint reads a slot's mark once and then waits until that slot is free, while it keeps
/// every writer out. If a new pin of ours has moved into the very slot meanwhile, it waits in vain until its busy timeout.
struct StallDetector {
    private let limits: WatcherLimits
    private var nextProbe: ContinuousClock.Instant?
    private var stall: (since: ContinuousClock.Instant, backfilled: UInt32)?
    private var patience: Duration

    init(limits: WatcherLimits) {
        self.limits = limits
        patience = limits.stallPatience
    }

    /// Somebody seems to wait: keep looking at short intervals.
    var isSuspicious: Bool { stall != nil }

    /// Whether to ask now if another process holds the checkpoint lock.
    mutating func shouldProbe(_ status: LogStatus, at now: ContinuousClock.Instant) -> Bool {
        guard !status.isBackfilled, !status.isPinnedToDatabaseOnly else {
            stall = nil
            return false
        }
        if let nextProbe, now < nextProbe { return false }
        nextProbe = now + limits.stallProbeInterval
        return true
    }

    /// Takes the answer; true when it is time to step aside.
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
        // A checkpointer that we stepped aside for and that is still there may be waiting for somebody else.
        patience = min(patience * 2, limits.stallPatience * 4)
        return true
    }
}
