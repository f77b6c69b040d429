package import NIOCore

/// How long a shard with many clients puts off writing while more is being published.
///
/// A write costs a system call for each client, and hardly more when it carries ten messages than when it carries one. So
/// what other connections have sent and nobody has read yet, and what is published in the next turns of the event loop,
/// is worth waiting for, but only while every turn brings something, for a small part of the time that the writing
/// takes, and up to a size. Where nothing more comes it costs one empty turn.
package struct Gathering {
    /// About a tenth of what a write takes.
    private static let nanosecondsPerClient: Int64 = 500
    private static let maxNanoseconds: Int64 = 1_000_000

    private let limits: HubLimits
    private var end: NIODeadline?
    private var seen = 0

    package init(limits: HubLimits) { self.limits = limits }

    /// What has been published and not yet written.
    package struct Pending: Sendable {
        package var items: Int
        package var bytes: Int

        package init(items: Int, bytes: Int) {
            self.items = items
            self.bytes = bytes
        }
    }

    /// Whether what is pending waits for another turn of the event loop.
    ///
    /// - Parameter pending: not asked for where there are few clients: it takes the hub's lock.
    package mutating func waits(_ pending: @autoclosure () -> Pending, clients: Int, now: NIODeadline) -> Bool {
        guard clients >= limits.minGatheringClients else { return stop() }
        let pending = pending()
        guard pending.bytes < limits.gatheredBytes else { return stop() }
        if let end {
            guard pending.items > seen, now < end else { return stop() }
        } else {
            end = now + .nanoseconds(min(Int64(clients) * Self.nanosecondsPerClient, Self.maxNanoseconds))
        }
        seen = pending.items
        return true
    }

    private mutating func stop() -> Bool {
        end = nil
        return false
    }
}
