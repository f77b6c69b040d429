import WireProtocol

/// A connection in its shard. Confined to the shard's event loop.
final class Client {
    let id: ClientID
    let outlet: any Outlet
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

    init(_ id: ClientID, _ outlet: any Outlet, _ restriction: Restriction? = nil) {
        self.id = id
        self.outlet = outlet
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
