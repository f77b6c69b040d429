import NIOHTTP1
import Synchronization

/// How many clients a server has, on all event loops together: its WebSockets, and what an application counts with them.
/// Safe from any thread.
package final class ClientCount: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    package var value: Int { count.load(ordering: .relaxed) }

    /// Counts one more: of two that come together for the last place, one is refused.
    package func enter(_ policy: UpgradePolicy) throws(UpgradeRefusal) {
        guard count.add(1, ordering: .relaxed).oldValue < policy.maxConnections else {
            leave()
            throw UpgradeRefusal(
                .serviceUnavailable,
                "The limit of \(policy.maxConnections) connections is reached; try again later.",
                headers: ["Retry-After": String(policy.retryAfterSeconds)]
            )
        }
    }

    package func leave() {
        count.subtract(1, ordering: .relaxed)
    }
}
