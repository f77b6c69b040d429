/// How long to wait before the next attempt to connect: doubled each time up to a limit, and spread at random, so that the
/// clients of a server that restarts do not all come back in the same moment.
struct Backoff: Sendable {
    static let firstWait: Duration = .milliseconds(250)
    static let maxWait: Duration = .seconds(15)

    /// Attempts that failed since the last ``reset()``.
    private(set) var attempts = 0

    /// - Parameter spread: From 0 to 1; the caller draws it.
    mutating func next(spread: Double) -> Duration {
        let full = min(Self.firstWait * (1 << min(attempts, 10)), Self.maxWait)
        attempts += 1
        // Between half of the wait and all of it.
        return full * (0.5 + min(max(spread, 0), 1) / 2)
    }

    /// The connection stood.
    mutating func reset() { attempts = 0 }
}
