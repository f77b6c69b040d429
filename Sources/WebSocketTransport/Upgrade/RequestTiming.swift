import NIOCore
import NIOHTTP1
import Synchronization

/// How long a request's body may take: a little for each piece, and more for what has arrived already.
///
/// The clock runs only while somebody waits for the next piece, so that an application may take its time over a large
/// upload; a client that sends a byte now and then uses its time up.
struct BodyPace: Hashable {
    /// What a byte is worth: 500 of them a second are enough.
    static let timePerByte = TimeAmount.milliseconds(2)

    /// What a client has before its first piece, and at most while it waits with the next.
    let patience: TimeAmount
    private var allowance: TimeAmount
    private var waitsSince: NIODeadline?

    init(patience: TimeAmount) {
        self.patience = patience
        allowance = patience
    }

    /// When the time is over; nil while nobody waits.
    var deadline: NIODeadline? { waitsSince.map { $0 + allowance } }

    /// Somebody wants the next piece.
    mutating func wait(now: NIODeadline) {
        if waitsSince == nil { waitsSince = now }
    }

    mutating func received(byteCount: Int, now: NIODeadline) {
        let used = waitsSince.map { now - $0 } ?? .zero
        waitsSince = nil
        // Bounded first: an array of bytes is never so long that this overflows, and it need not be shown.
        let counted = Int64(min(byteCount, 1 << 30))
        let earned = TimeAmount.nanoseconds(counted * Self.timePerByte.nanoseconds)
        allowance = min(max(allowance - used, .zero) + earned, patience)
    }
}

/// Finds out that a client takes nothing of a response any more, however much of it waits.
struct ResponseStall: Hashable {
    /// How long not a byte may go out while some wait.
    let patience: TimeAmount
    private var waitingBytes = 0
    private var since: NIODeadline?

    init(patience: TimeAmount) { self.patience = patience }

    /// Notes how many bytes wait; true when it is time to give up.
    ///
    /// A number that changes is taken for progress: who writes responses does not add to one that the client does not take.
    mutating func isOver(waitingBytes: Int, now: NIODeadline) -> Bool {
        guard waitingBytes > 0, waitingBytes == self.waitingBytes, let since else {
            self.waitingBytes = waitingBytes
            since = waitingBytes > 0 ? now : nil
            return false
        }
        return now - since >= patience
    }
}

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
