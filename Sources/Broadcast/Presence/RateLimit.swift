package import NIOCore

/// How often something may happen: a bucket of tokens that fills steadily. A value without a clock.
package struct RateLimit: Sendable {
    private let capacity: Double
    private let tokensPerNanosecond: Double
    private var tokens: Double
    private var updated: NIODeadline

    /// - Parameters:
    ///   - perSecond: What is allowed in the long run; greater than zero.
    ///   - burst: What is allowed at once after a pause; at least one.
    ///   - now: The bucket is full then.
    package init(perSecond: Double, burst: Int, now: NIODeadline) {
        precondition(perSecond > 0 && burst >= 1, "a rate and a burst that let something through")
        capacity = Double(burst)
        tokensPerNanosecond = perSecond / 1e9
        tokens = capacity
        updated = now
    }

    /// Takes a token if there is one; false means: not now.
    package mutating func take(now: NIODeadline) -> Bool {
        if now > updated {
            tokens = min(capacity, tokens + Double((now - updated).nanoseconds) * tokensPerNanosecond)
            updated = now
        }
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
