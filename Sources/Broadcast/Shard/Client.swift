import WireProtocol

/// A connection in its shard. Confined to the shard's event loop.
final class Client {
    let id: ClientID
    let outlet: any Outlet
    /// What limits its view; nil for nothing.
    let restriction: Restriction?

    /// What it hears at once; ``tables`` says so of tables.
    var channels: Channels = []
    var tables = TablesSubscription.none
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

    /// What it hears from now on.
    var subscriptions: Subscriptions {
        guard case .live(let filter) = tables else {
            return Subscriptions(channels: channels, filter: nil, restriction: restriction)
        }
        return Subscriptions(channels: channels, filter: filter, restriction: restriction)
    }
}

/// A client's subscription to tables.
enum TablesSubscription {
    case none
    case live(TableFilter)
    /// History is being sent; live transactions are not, until the change to live comes, which `isComplete` says is on
    /// its way.
    case replaying(TableFilter, History.Pin, after: Position, isComplete: Bool)
    /// A snapshot is being sent.
    case held(TableFilter, History.Pin)

    var filter: TableFilter? {
        switch self {
        case .none: nil
        case .live(let filter), .replaying(let filter, _, _, _), .held(let filter, _): filter
        }
    }

    var pin: History.Pin? {
        switch self {
        case .none, .live: nil
        case .replaying(_, let pin, _, _), .held(_, let pin): pin
        }
    }
}
