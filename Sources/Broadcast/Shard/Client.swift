package import NIOCore
import WireProtocol

/// A connection in its shard. Confined to the shard's event loop.
final class Client {
    let id: ClientID
    let connection: any OutboundConnection
    /// What restricts its view; nil for no restriction.
    let restriction: Restriction?

    /// Without tables, which are in ``tables``.
    var channels: Channels = []
    var tables = TablesFeed()
    var topics: Set<Topic> = []
    /// Its group of clients with the same subscriptions; nil before it is open and after it is gone.
    var group: SubscriberGroup?
    var indexInGroup = 0

    /// In the current drain an item concerns only this client.
    var isIndividual = false
    /// The indices of the current drain's items that are for this client alone.
    var named: [Int] = []
    /// It has received its greeting.
    var isOpen = false
    var isGone = false
    /// A part of its replay is being written, or will be in the next turn.
    var isReplaying = false
    /// Messages that are sent when no subscription is behind any more.
    var afterReplay: [EncodedMessage] = []
    /// Callbacks of senders that wait until the client can take more.
    var waiting: [WhenTaken] = []

    init(_ id: ClientID, _ connection: any OutboundConnection, _ restriction: Restriction? = nil) {
        self.id = id
        self.connection = connection
        self.restriction = restriction
    }

    /// The subscriptions from now on.
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

/// How long a shard with many clients delays writing while more is being published.
///
/// A write costs a system call for each client, and ten messages cost hardly more than one. So it pays to wait for
/// messages that other connections have sent and that are not read yet, and for those of the next turns of the event
/// loop, but only while every turn brings some, for a small part of the time of the writes, and up to a size. When
/// nothing more arrives it costs one empty turn.
package struct WriteCoalescer {
    /// About a tenth of the time of a write.
    private static let nanosecondsPerClient: Int64 = 500
    private static let maxNanoseconds: Int64 = 1_000_000

    private let limits: HubLimits
    private var end: NIODeadline?
    private var seen = 0

    package init(limits: HubLimits) { self.limits = limits }

    /// Published and not yet written messages.
    package struct Pending: Sendable {
        package var items: Int
        package var bytes: Int

        package init(items: Int, bytes: Int) {
            self.items = items
            self.bytes = bytes
        }
    }

    /// Whether the pending messages wait for another turn of the event loop.
    ///
    /// - Parameter pending: not evaluated when there are few clients, because it takes the hub's lock.
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
