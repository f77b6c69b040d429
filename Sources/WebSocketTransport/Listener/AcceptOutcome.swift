#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What an error of accept(2) means for the socket that listens: as that page says, an error of the connection that was about
/// to be accepted is nothing to the ones after it, and a lack of memory or descriptors passes.
enum AcceptOutcome: Hashable {
    /// None waits.
    case none
    /// That connection is lost; the next may be waiting.
    case lost
    /// The system lacks something: wait before the next.
    case exhausted
    /// The socket does not listen any more.
    case broken

    init(errno code: CInt) {
        switch code {
        case EAGAIN, EWOULDBLOCK: self = .none
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: self = .exhausted
        case EBADF, EINVAL, ENOTSOCK, EFAULT: self = .broken
        // ECONNABORTED, EPERM of a firewall, EPROTO, ENETDOWN, EHOSTUNREACH, EOPNOTSUPP, ETIMEDOUT and whatever else the
        // network reports.
        default: self = .lost
        }
    }
}

/// Decides what an accepting thread does next. A value without sockets.
struct AcceptPacing {
    /// How long a system that lacks something is left alone.
    static let pause = Duration.milliseconds(100)
    /// Errors in a row after which the pause is made all the same: not all that is said to pass does.
    static let maxLostInARow = 64
    /// Between two reports of errors.
    static let reportInterval = Duration.seconds(10)

    enum Step: Hashable {
        /// Accept another one now.
        case proceed
        /// Wait for one to come.
        case wait
        case pause(Duration)
        case end
    }

    private var lostInARow = 0
    private var unreported = 0
    private var nextReport: ContinuousClock.Instant?

    mutating func accepted() { lostInARow = 0 }

    /// - Returns: what to do, and how many errors to report to the operator now; 0 for none.
    mutating func failed(errno code: CInt, at now: ContinuousClock.Instant) -> (step: Step, report: Int) {
        let outcome = AcceptOutcome(errno: code)
        guard outcome != .none else {
            lostInARow = 0
            return (.wait, 0)
        }
        lostInARow += 1
        unreported += 1
        var report = 0
        if outcome == .broken || nextReport.map({ $0 <= now }) ?? true {
            report = unreported
            unreported = 0
            nextReport = now + Self.reportInterval
        }
        switch outcome {
        case .none: return (.wait, report)
        case .broken: return (.end, report)
        case .lost where lostInARow <= Self.maxLostInARow: return (.proceed, report)
        case .lost, .exhausted:
            lostInARow = 0
            return (.pause(Self.pause), report)
        }
    }
}
