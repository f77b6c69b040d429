import NIOCore
import NIOHTTP1
import Synchronization

/// The time limit of a request's body: a base time for each piece, and more for the bytes that have arrived already.
///
/// The clock runs only while the server waits for the next piece, so that an application may take its time over a large
/// upload; a client that sends single bytes slowly uses its time up.
struct BodyPace: Hashable {
    /// The time that a byte earns: 500 of them a second are enough.
    static let timePerByte = TimeAmount.milliseconds(2)

    /// The time for the first piece, and the maximum for each later piece.
    let patience: TimeAmount
    private var allowance: TimeAmount
    private var waitsSince: NIODeadline?

    init(patience: TimeAmount) {
        self.patience = patience
        allowance = patience
    }

    /// When the time is up; nil while nothing waits.
    var deadline: NIODeadline? { waitsSince.map { $0 + allowance } }

    /// The server begins to wait for the next piece.
    mutating func wait(now: NIODeadline) {
        if waitsSince == nil { waitsSince = now }
    }

    mutating func received(byteCount: Int, now: NIODeadline) {
        let used = waitsSince.map { now - $0 } ?? .zero
        waitsSince = nil
        // Bounded first, so that it cannot overflow: an array of bytes is never that long.
        let counted = Int64(min(byteCount, 1 << 30))
        let earned = TimeAmount.nanoseconds(counted * Self.timePerByte.nanoseconds)
        allowance = min(max(allowance - used, .zero) + earned, patience)
    }
}

/// Detects that a client takes nothing of a response any more, however much of it waits.
struct ResponseStall: Hashable {
    /// How long no byte may be sent while some wait.
    let patience: TimeAmount
    private var waitingBytes = 0
    private var since: NIODeadline?

    init(patience: TimeAmount) { self.patience = patience }

    /// Records the number of waiting bytes; true when the client has stalled.
    ///
    /// A changed number counts as progress: the server does not add to a response that the client does not take.
    mutating func isOver(waitingBytes: Int, now: NIODeadline) -> Bool {
        guard waitingBytes > 0, waitingBytes == self.waitingBytes, let since else {
            self.waitingBytes = waitingBytes
            since = waitingBytes > 0 ? now : nil
            return false
        }
        return now - since >= patience
    }
}

/// The number of a server's clients, on all event loops together: its WebSockets, and other clients that an application
/// counts with them. Safe from any thread.
package final class ClientCount: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    package var value: Int { count.load(ordering: .relaxed) }

    /// Counts one more: of two clients that compete for the last place, one is refused.
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
