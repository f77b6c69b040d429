import Broadcast
import NIOCore
import Synchronization

/// How many messages the connections of one identity may send together. Thread-safe.
///
/// A bucket lives for as long as its identity has connections, so that there are no more of them than connections.
final class IdentityRates: Sendable {
    private struct Bucket: Sendable {
        var rate: RateLimit
        var connections = 0
    }

    private let perSecond: Int
    private let burst: Int
    private let buckets = Mutex<[String: Bucket]>([:])

    init(perSecond: Int, burst: Int) {
        self.perSecond = max(perSecond, 1)
        self.burst = max(burst, 1)
    }

    /// - Parameter share: the identity or, without tokens, the address.
    func enter(_ share: String, now: NIODeadline) {
        buckets.withLock { buckets in
            let rate = RateLimit(perSecond: Double(perSecond), burst: burst, now: now)
            buckets[share, default: Bucket(rate: rate)].connections += 1
        }
    }

    func leave(_ share: String) {
        buckets.withLock { buckets in
            guard var bucket = buckets[share] else { return }
            bucket.connections -= 1
            buckets[share] = bucket.connections > 0 ? bucket : nil
        }
    }

    /// Takes a message; false when there were too many.
    func take(_ share: String, now: NIODeadline) -> Bool {
        buckets.withLock { $0[share]?.rate.take(now: now) ?? true }
    }
}
