import Synchronization

/// How many connections a server has, on all event loops together: its WebSockets, and what an application counts with them.
/// Safe from any thread.
package final class ConnectionCount: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    package var value: Int { count.load(ordering: .relaxed) }

    /// Counts one more, and returns how many there were: of two that come together for the last place, one sees it taken.
    package func enter() -> Int {
        count.add(1, ordering: .relaxed).oldValue
    }

    package func leave() {
        count.subtract(1, ordering: .relaxed)
    }
}
