/// The time that the queries of each identity may take on the query threads: a bucket that fills at a constant rate.
///
/// A query begins while there is time left, and its time is taken when it has ended; so the bucket can be in debt, and the
/// next query waits for it. A value: the owner provides the lock and the clock.
struct QueryTimeBudget {
    private struct Bucket {
        /// Negative after a query that took longer than was left.
        var left: Duration
        var updatedAt: ContinuousClock.Instant
    }

    /// The time that an identity gets in each second.
    private let perSecond: Double
    /// The most that it can save.
    private let burst: Duration
    /// The identities that have used time and do not have all of it back.
    private var buckets: [String: Bucket] = [:]
    /// When the full buckets are removed next.
    private var sweepsAt: Int

    private static let minSweep = 1_024

    init(perSecond: Duration, burst: Duration) {
        self.perSecond = max(perSecond, .milliseconds(1)) / .seconds(1)
        self.burst = max(burst, .milliseconds(1))
        sweepsAt = Self.minSweep
    }

    /// How long the identity has to wait before its next query may begin; nil if it need not.
    func wait(of identity: String, at now: ContinuousClock.Instant) -> Duration? {
        guard let left = buckets[identity].map({ self.left($0, at: now) }), left <= .zero else { return nil }
        // At least a millisecond, so that there is something left then.
        return max(.milliseconds(1), .zero - left) / perSecond
    }

    /// A query of the identity has taken this time.
    mutating func take(_ time: Duration, of identity: String, at now: ContinuousClock.Instant) {
        let left = buckets[identity].map { self.left($0, at: now) } ?? burst
        buckets[identity] = Bucket(left: left - time, updatedAt: now)
        guard buckets.count >= sweepsAt else { return }
        buckets = buckets.filter { self.left($0.value, at: now) < burst }
        sweepsAt = max(Self.minSweep, buckets.count * 2)
    }

    var count: Int { buckets.count }

    private func left(_ bucket: Bucket, at now: ContinuousClock.Instant) -> Duration {
        min(burst, bucket.left + (now - bucket.updatedAt) * perSecond)
    }
}
