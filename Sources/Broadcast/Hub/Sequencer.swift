import NIOCore
import WireProtocol

/// The one order in which everything happens: what the hub's lock guards. A value without locks, clocks or event loops.
///
/// A transaction enters the history and every shard's queue in one step, and so does each subscription: whatever comes
/// before it in a queue is in the history at its position, whatever comes after it is not. This is why nothing is lost or
/// sent twice between a replay and what follows live.
struct Sequencer {
    /// What a shard has to do, and whether it knows.
    private struct ShardQueue {
        var clients = 0
        /// The channels that any of its clients has listened to since it last had none.
        var interests: Channels = []
        var items: [QueueItem] = []
        var byteCount = 0
        var isScheduled = false
        var hasOverflowed = false
    }

    /// A replay that ended ahead of the history: its snapshot saw a transaction that has not been published yet.
    private struct Waiter {
        let sequence: UInt64
        let client: ClientID
        let pin: History.Pin
    }

    private let limits: HubLimits
    private(set) var history: History
    private(set) var filters = FilterRegistry()
    private(set) var statistics = HubStatistics()
    private var queues: [ShardQueue] = []
    private var waiters: [Waiter] = []
    private var lastNumber: UInt64 = 0

    init(start: Position, limits: HubLimits) {
        self.limits = limits
        history = History(start: start, limits: limits.history)
    }

    /// A number for a client or a pin.
    mutating func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    mutating func addShard() -> Int {
        queues.append(ShardQueue())
        return queues.count - 1
    }

    // MARK: Entering the order. Each returns the shards that must be woken.

    mutating func publish(_ delivery: Delivery, now: NIODeadline) -> [Int] {
        let sequence = delivery.publication.position.sequence
        history.append(delivery.publication, now: now)
        statistics.publications += 1
        var woken: [Int] = []
        // Whose snapshot has the transaction goes live behind it, whose has not, before it.
        if !waiters.isEmpty { woken += endWaiting(before: sequence) }
        woken += appendToAll(.publication(delivery))
        if !waiters.isEmpty { woken += endWaiting(before: sequence + 1) }
        return woken
    }

    mutating func appendToAll(_ item: QueueItem) -> [Int] {
        var woken: [Int] = []
        let byteCount = item.byteCount
        for shard in queues.indices where queues[shard].clients > 0 && concerns(item, shard) {
            if append(item, byteCount: byteCount, to: shard) { woken.append(shard) }
        }
        return woken
    }

    /// What nobody there listens to would wake the shard's event loop for nothing.
    private func concerns(_ item: QueueItem, _ shard: Int) -> Bool {
        let channel: WireProtocol.Channel
        switch item {
        case .message(_, .channel(let named, _, _)): channel = named
        case .publication, .reset: channel = .tables
        case .message(_, .everyone), .direct, .change, .closeEveryone: return true
        }
        return queues[shard].interests.contains(Channels(channel))
    }

    /// Whether a message on the channel may have a receiver.
    func hasListeners(_ channel: WireProtocol.Channel) -> Bool {
        queues.contains { $0.clients > 0 && $0.interests.contains(Channels(channel)) }
    }

    mutating func append(_ item: QueueItem, for client: ClientID) -> [Int] {
        queues[client.shard].interests.formUnion(item.newInterests)
        return append(item, byteCount: item.byteCount, to: client.shard) ? [client.shard] : []
    }

    /// True when the shard must be woken.
    private mutating func append(_ item: QueueItem, byteCount: Int, to shard: Int) -> Bool {
        queues[shard].items.append(item)
        queues[shard].byteCount += byteCount
        if queues[shard].byteCount > limits.maxPendingBytes {
            // The shard closes its clients; it still has to hear of those who come, go or wait.
            queues[shard].items.removeAll { !$0.isChange }
            queues[shard].byteCount = 0
            queues[shard].hasOverflowed = true
        }
        defer { queues[shard].isScheduled = true }
        return !queues[shard].isScheduled
    }

    func pending(for shard: Int) -> Gathering.Pending {
        Gathering.Pending(items: queues[shard].items.count, bytes: queues[shard].byteCount)
    }

    /// What a shard has to do, in order.
    struct Work {
        var items: [QueueItem]
        var hasOverflowed: Bool
    }

    mutating func take(for shard: Int, adding done: ShardStatistics) -> Work {
        report(done)
        let queue = queues[shard]
        queues[shard] = ShardQueue(clients: queue.clients, interests: queue.interests)
        return Work(items: queue.items, hasOverflowed: queue.hasOverflowed)
    }

    /// What a shard has done since it last said so.
    mutating func report(_ done: ShardStatistics) { statistics.add(done) }

    // MARK: Subscriptions to tables

    mutating func subscribe(
        _ client: ClientID,
        _ filter: TableFilter,
        since: Position?,
        replyTo: String?,
        then: [EncodedMessage]
    ) throws(ProtocolError) -> [Int] {
        try register(filter)
        let start: TablesStart
        if let since, history.isComplete(after: since) {
            let pin = nextNumber()
            history.pin(pin, after: since.sequence)
            start = .replay(pin, after: since)
        } else {
            start = .live(after: history.head, recovered: since == nil ? nil : false)
        }
        return append(.change(.subscribeToTables(filter, start, replyTo: replyTo, then: then), of: client), for: client)
    }

    mutating func hold(
        _ client: ClientID,
        _ filter: TableFilter
    ) throws(ProtocolError) -> (pin: History.Pin, woken: [Int]) {
        try register(filter)
        let pin = nextNumber()
        history.pin(pin, after: history.head.sequence)
        let change = ClientChange.subscribeToTables(filter, .held(pin), replyTo: nil, then: [])
        return (pin, append(.change(change, of: client), for: client))
    }

    private mutating func register(_ filter: TableFilter) throws(ProtocolError) {
        guard filters.contains(filter) || filters.count < limits.maxDistinctFilters else {
            throw ProtocolError(
                .rateLimited,
                "the service has \(filters.count) different filters on tables, and that is its limit"
            )
        }
        filters.add(filter)
    }

    /// A client has no use for its filter and pin any more.
    mutating func forget(_ filter: TableFilter?, _ pin: History.Pin?) {
        if let filter { filters.remove(filter) }
        if let pin {
            history.unpin(pin)
            waiters.removeAll { $0.pin == pin }
        }
    }

    // MARK: Replays

    enum ReplayStep {
        /// To be sent; if there is no more, the client's change to live is in its queue already.
        case send([any Publication], isLast: Bool)
        /// The position is of another epoch: a reset is in the client's queue, or will be.
        case otherEpoch
        /// More was published than may be kept.
        case lost
    }

    /// The next part of a client's replay.
    mutating func replay(_ client: ClientID, _ pin: History.Pin, after position: Position) -> (ReplayStep, woken: [Int])
    {
        guard position.epoch == history.head.epoch else { return (.otherEpoch, []) }
        if position.sequence > history.head.sequence {
            waiters.append(Waiter(sequence: position.sequence, client: client, pin: pin))
            return (.send([], isLast: true), [])
        }
        guard let slice = history.slice(after: position, maxBytes: limits.replayChunkBytes) else { return (.lost, []) }
        guard slice.reachesHead else {
            if let last = slice.publications.last { history.pin(pin, after: last.position.sequence) }
            return (.send(slice.publications, isLast: false), [])
        }
        history.unpin(pin)
        return (.send(slice.publications, isLast: true), append(.change(.goLive(pin), of: client), for: client))
    }

    private mutating func endWaiting(before sequence: UInt64) -> [Int] {
        let ended = waiters.filter { $0.sequence < sequence }
        waiters.removeAll { $0.sequence < sequence }
        var woken: [Int] = []
        for waiter in ended {
            history.unpin(waiter.pin)
            woken += append(.change(.goLive(waiter.pin), of: waiter.client), for: waiter.client)
        }
        return woken
    }

    mutating func reset(to start: Position, notice: EncodedMessage) -> [Int] {
        history.reset(to: start)
        waiters = []
        return appendToAll(.reset(notice))
    }

    mutating func trimHistory(now: NIODeadline) { history.trim(now: now) }

    mutating func clientCameOrWent(_ client: ClientID, by difference: Int) {
        statistics.clients += difference
        queues[client.shard].clients += difference
        if queues[client.shard].clients == 0 { queues[client.shard].interests = [] }
    }
}

extension QueueItem {
    /// The channels that its client listens to from here on.
    fileprivate var newInterests: Channels {
        switch self {
        case .change(.open(let channels, _), _): channels
        case .change(.subscribe(let channel, _, _), _): Channels(channel)
        case .change(.subscribeToTables, _): .tables
        default: []
        }
    }

    /// Whether it must be heard of even by a shard that has to close its clients.
    fileprivate var isChange: Bool {
        switch self {
        case .change, .reset, .closeEveryone: true
        case .direct(_, _, _, let whenTaken): whenTaken != nil
        case .publication, .message: false
        }
    }
}
