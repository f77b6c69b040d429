import WireProtocol

/// The subscriptions to `tables` of each client at the end of the hub's order, and their number. A value without locks.
struct SubscriptionRegistry {
    private struct Entry {
        let subscription: TableSubscription
        /// The snapshot that the subscription waits for.
        var hold: History.Retention?
    }

    private struct Client {
        let owner: String
        /// In the order of subscribing.
        var entries: [Entry] = []
        /// Without tables.
        var channels: Channels = []
    }

    /// A subscription that at least one client has.
    private struct Use {
        var count: Int
        /// The index in ``SubscriptionRegistry/distinct``.
        var index: Int
    }

    private let limits: HubLimits
    private var clients: [ClientID: Client] = [:]
    private var uses: [TableSubscription: Use] = [:]
    private var usesByOwner: [String: [TableSubscription: Int]] = [:]
    /// Every subscription that at least one client has, once. Dense: the last element moves to the place of a removed
    /// one.
    private(set) var distinct: [TableSubscription] = []

    init(limits: HubLimits) { self.limits = limits }

    func subscriptions(of client: ClientID) -> [TableSubscription] {
        clients[client]?.entries.map(\.subscription) ?? []
    }

    /// The channels that a client receives.
    func channels(of client: ClientID) -> Channels {
        guard let client = clients[client] else { return [] }
        return client.entries.isEmpty ? client.channels : client.channels.union(.tables)
    }

    mutating func join(_ channels: Channels, _ client: ClientID) {
        clients[client]?.channels.formUnion(channels.subtracting(.tables))
    }

    mutating func leave(_ channel: MessageChannel, _ client: ClientID) {
        clients[client]?.channels.remove(Channels(channel))
    }

    // MARK: Clients

    /// - Parameter owner: the owner to whose limit of distinct subscriptions the client counts.
    mutating func open(_ client: ClientID, owner: String) { clients[client] = Client(owner: owner) }

    mutating func close(_ client: ClientID) {
        removeAll(of: client)
        clients[client] = nil
    }

    // MARK: Subscriptions

    /// Adds subscriptions of a client; equal ones begin again.
    ///
    /// - Parameters:
    ///   - replaced: the subscription that ends; with a hold it ends with ``acknowledge(_:of:)``.
    ///   - hold: the snapshot that they wait for.
    /// - Returns: false for a client that has disconnected.
    /// - Throws: `SUBSCRIPTION_NOT_FOUND`, or `RATE_LIMITED` at a limit; then nothing has changed.
    mutating func add(
        _ subscriptions: [TableSubscription],
        of client: ClientID,
        replacing replaced: String? = nil,
        hold: History.Retention? = nil
    ) throws(ProtocolError) -> Bool {
        guard let entries = clients[client]?.entries, let owner = clients[client]?.owner else { return false }
        if let replaced { try require(replaced, in: entries) }
        let new = Set(subscriptions).subtracting(entries.map(\.subscription))
        try checkLimits(new, clientCount: entries.count - (replaced == nil ? 0 : 1), owner: owner)
        if let replaced, hold == nil { _ = remove(of: client) { $0.subscription.id == replaced } }
        for subscription in subscriptions {
            _ = remove(of: client) { $0.subscription == subscription }
            clients[client]?.entries.append(Entry(subscription: subscription, hold: hold))
            count(subscription, of: owner)
        }
        return true
    }

    private func require(_ id: String, in entries: [Entry]) throws(ProtocolError) {
        guard !entries.contains(where: { $0.subscription.id == id }) else { return }
        let known = entries.map(\.subscription.id).joined(separator: ", ")
        throw ProtocolError(
            .subscriptionNotFound,
            "no subscription \(quoted(id)): this connection has \(known.isEmpty ? "none" : known)"
        )
    }

    private func checkLimits(
        _ new: Set<TableSubscription>,
        clientCount: Int,
        owner: String
    ) throws(ProtocolError) {
        guard !new.isEmpty else { return }
        guard clientCount + new.count <= limits.maxSubscriptionsPerClient else {
            throw ProtocolError(
                .rateLimited,
                "a connection has at most \(limits.maxSubscriptionsPerClient) subscriptions to tables"
            )
        }
        let ofOwner = usesByOwner[owner] ?? [:]
        guard ofOwner.count + new.count(where: { ofOwner[$0] == nil }) <= limits.maxDistinctFilters else {
            throw ProtocolError(
                .rateLimited,
                "an identity has at most \(limits.maxDistinctFilters) different filters on tables over all its connections"
            )
        }
        guard distinct.count + new.count(where: { uses[$0] == nil }) <= limits.maxDistinctFiltersInAll else {
            throw ProtocolError(
                .rateLimited,
                "the service has at most \(limits.maxDistinctFiltersInAll) different filters on tables"
            )
        }
    }

    /// - Throws: `SUBSCRIPTION_NOT_FOUND`.
    mutating func remove(_ id: String, of client: ClientID) throws(ProtocolError) {
        try require(id, in: clients[client]?.entries ?? [])
        _ = remove(of: client) { $0.subscription.id == id }
    }

    mutating func removeAll(of client: ClientID) {
        while remove(of: client, where: { _ in true }) {}
    }

    private mutating func remove(of client: ClientID, where isMeant: (Entry) -> Bool) -> Bool {
        guard let owner = clients[client]?.owner, let index = clients[client]?.entries.firstIndex(where: isMeant),
            let entry = clients[client]?.entries.remove(at: index)
        else { return false }
        discount(entry.subscription, of: owner)
        return true
    }

    // MARK: Snapshots

    /// The snapshot's subscription is acknowledged: the one that it replaces ends. Does nothing when the hold has
    /// ended.
    mutating func acknowledge(_ hold: History.Retention, of client: ClientID, ending replaced: String?) {
        guard let replaced, holds(hold, client) else { return }
        _ = remove(of: client) { $0.subscription.id == replaced && $0.hold != hold }
    }

    /// The snapshot is complete.
    mutating func release(_ hold: History.Retention, of client: ClientID) {
        guard let index = clients[client]?.entries.firstIndex(where: { $0.hold == hold }) else { return }
        clients[client]?.entries[index].hold = nil
    }

    /// The snapshot failed: its subscription ends. Does nothing when the hold has ended.
    mutating func abandon(_ hold: History.Retention, of client: ClientID) {
        _ = remove(of: client) { $0.hold == hold }
    }

    /// Ends every hold; every subscription continues in the new epoch.
    mutating func endHolds() {
        for client in clients.keys {
            for index in clients[client]?.entries.indices ?? 0..<0 { clients[client]?.entries[index].hold = nil }
        }
    }

    private func holds(_ hold: History.Retention, _ client: ClientID) -> Bool {
        clients[client]?.entries.contains { $0.hold == hold } ?? false
    }

    // MARK: Counts

    private mutating func count(_ subscription: TableSubscription, of owner: String) {
        if uses[subscription] == nil {
            uses[subscription] = Use(count: 0, index: distinct.count)
            distinct.append(subscription)
        }
        uses[subscription]?.count += 1
        usesByOwner[owner, default: [:]][subscription, default: 0] += 1
    }

    private mutating func discount(_ subscription: TableSubscription, of owner: String) {
        if let count = usesByOwner[owner]?[subscription] {
            usesByOwner[owner]?[subscription] = count > 1 ? count - 1 : nil
            if usesByOwner[owner]?.isEmpty == true { usesByOwner[owner] = nil }
        }
        guard var use = uses[subscription] else { return }
        use.count -= 1
        guard use.count == 0 else {
            uses[subscription] = use
            return
        }
        uses[subscription] = nil
        let last = distinct.removeLast()
        if use.index < distinct.count {
            distinct[use.index] = last
            uses[last]?.index = use.index
        }
    }
}

/// A change of a client's subscriptions to `tables`, at its place in the hub's order.
struct SubscriptionChange: Sendable {
    /// One subscription, or several that resume together.
    var subscriptions: [TableSubscription]
    var start: Start
    /// The subscription that this one replaces, by its id.
    var replaced: String?
    /// The newest transaction at this place in the order.
    var head: Position
    /// The reply to the request; nil for a snapshot, which is acknowledged when its position is known.
    var reply: SubscriptionReply?

    /// Where the subscriptions begin.
    enum Start: Sendable, Equatable {
        /// With the next transaction; `notResumed` is why the client does not continue after the position that it named.
        case live(notResumed: ResumeFailure?)
        /// With a replay of the transactions after the position.
        case replay(History.Retention, after: Position)
        /// After a snapshot has been sent.
        case held(History.Retention)

        var pin: History.Retention? {
            switch self {
            case .live: nil
            case .replay(let pin, _), .held(let pin): pin
            }
        }

        var hold: History.Retention? { if case .held(let pin) = self { pin } else { nil } }

        /// The value of `recovered` in the acknowledgement.
        var recovered: Bool? {
            switch self {
            case .live(let failure): failure == nil ? nil : false
            case .replay: true
            case .held: nil
            }
        }

        var resumeFailure: ResumeFailure? { if case .live(let failure) = self { failure } else { nil } }
    }
}

/// The reply to a `subscribe`.
struct SubscriptionReply: Sendable {
    var replyTo: String?
    /// The ids of a list, in the order of the request; nil where it had none.
    var list: [String]?
}
