/// The wait before the next attempt to connect: doubled each time up to a limit, and randomized, so that the clients of
/// a restarted server do not all reconnect at the same time.
package struct Backoff: Sendable {
    package static let firstWait: Duration = .milliseconds(250)

    private let maxWait: Duration
    /// Attempts that failed since the last ``reset()``.
    private var attempts = 0

    package init(maxWait: Duration = .seconds(15)) { self.maxWait = maxWait }

    /// - Parameter spread: From 0 to 1; a random number of the caller.
    package mutating func next(spread: Double) -> Duration {
        let full = min(Self.firstWait * (1 << min(attempts, 10)), maxWait)
        attempts += 1
        // Between half of the wait and all of it.
        return full * (0.5 + min(max(spread, 0), 1) / 2)
    }

    /// The connection succeeded.
    package mutating func reset() { attempts = 0 }
}
