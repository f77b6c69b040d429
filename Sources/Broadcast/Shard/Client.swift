package import NIOCore
import WireProtocol

/// A connection in its shard. Confined to the shard's event loop.
final class Client {
    let id: ClientID
    let connection: any OutboundConnection
    /// What limits its view; nil for nothing.
    let restriction: Restriction?

    /// Without tables, for which there is ``tables``.
    var channels: Channels = []
    var tables = TablesFeed()
    var topics: Set<Topic> = []
    /// Where it stands among those who hear the same; nil before it is open and after it is gone.
    var group: SubscriberGroup?
    var indexInGroup = 0

    /// In the current drain something happens to this client alone.
    var isIndividual = false
    /// It has had its greeting.
    var isOpen = false
    var isGone = false
    /// A part of its replay is being written, or will be in the next turn.
    var isReplaying = false
    /// Those who wait until the client can take more.
    var waiting: [WhenTaken] = []

    init(_ id: ClientID, _ connection: any OutboundConnection, _ restriction: Restriction? = nil) {
        self.id = id
        self.connection = connection
        self.restriction = restriction
    }

    /// What it gets from now on.
    var subscriptions: Subscriptions {
        Subscriptions(
            channels: channels,
            tables: tables.live,
            endsTransactions: tables.hasSeveral,
            restriction: restriction,
            topics: topics
        )
    }
}

/// How long a shard with many clients puts off writing while more is being published.
///
/// A write costs a system call for each client, and hardly more when it carries ten messages than when it carries one. So
/// what other connections have sent and nobody has read yet, and what is published in the next turns of the event loop,
/// is worth waiting for, but only while every turn brings something, for a small part of the time that the writing
/// takes, and up to a size. Where nothing more comes it costs one empty turn.
package struct WriteCoalescer {
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
