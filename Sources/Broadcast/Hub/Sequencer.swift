import NIOCore
import WireProtocol

/// The order of all events: the state that the hub's lock guards. A value without locks, clocks or event loops.
///
/// A transaction enters the history and every shard's queue in one step, and so does each subscription: the
/// transactions before it in a queue are in the history up to its position, and those after it are not. Therefore
/// nothing is lost or sent twice between a replay and the live messages after it.
struct Sequencer {
    /// The pending work of a shard, and whether the shard is awake.
    private struct ShardQueue {
        var clients = 0
        /// The channels that any of its clients has subscribed to since the shard was last empty.
        var interests: Channels = []
        /// The topics that any of them has joined since then.
        var topics: Set<Topic> = []
        var items: [QueueItem] = []
        var byteCount = 0
        var isScheduled = false
        var hasOverflowed = false
    }

    /// A replay that is ahead of the history: its snapshot saw a transaction that has not been published yet.
    private struct Waiter {
        let sequence: UInt64
        let client: ClientID
        let pin: History.Retention
    }

    private let limits: HubLimits
    private(set) var history: History
    private(set) var subscriptions: SubscriptionRegistry
    private(set) var statistics = HubStatistics()
    private var queues: [ShardQueue] = []
    private var waiters: [Waiter] = []
    private var lastNumber: UInt64 = 0

    init(start: Position, limits: HubLimits, archive: (any HistoryArchive)? = nil) {
        self.limits = limits
        history = History(start: start, limits: limits.history, archive: archive)
        subscriptions = SubscriptionRegistry(limits: limits)
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
        var woken = appendToAll(.publication(delivery))
        if !waiters.isEmpty { woken += endWaiting(through: sequence) }
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

    /// A message without receivers in the shard would wake its event loop for nothing.
    private func concerns(_ item: QueueItem, _ shard: Int) -> Bool {
        let channel: MessageChannel
        switch item {
        case .message(_, .channel(let named, _, _)): channel = named
        case .message(_, .topic(let topic)): return queues[shard].topics.contains(topic)
        case .publication, .reset: channel = .tables
        case .message(_, .everyone), .direct, .change, .closeEveryone: return true
        }
        return queues[shard].interests.contains(Channels(channel))
    }

    /// The channels on which a message may have a receiver.
    private(set) var interests: Channels = []

    mutating func append(_ item: QueueItem, for client: ClientID) -> [Int] {
        let joined = item.newInterests
        if !joined.isEmpty {
            queues[client.shard].interests.formUnion(joined)
            subscriptions.join(joined, client)
            if queues[client.shard].clients > 0 { interests.formUnion(joined) }
        }
        if case .change(.join(let topic), _) = item { queues[client.shard].topics.insert(topic) }
        return append(item, byteCount: item.byteCount, to: client.shard) ? [client.shard] : []
    }

    /// True when the shard must be woken.
    private mutating func append(_ item: QueueItem, byteCount: Int, to shard: Int) -> Bool {
        queues[shard].items.append(item)
        queues[shard].byteCount += byteCount
        if queues[shard].byteCount > limits.maxPendingBytes {
            // The shard will close its clients; it still needs the changes of clients.
            queues[shard].items.removeAll { !$0.isChange }
            queues[shard].byteCount = 0
            queues[shard].hasOverflowed = true
        }
        defer { queues[shard].isScheduled = true }
        return !queues[shard].isScheduled
    }

    func pending(for shard: Int) -> WriteCoalescer.Pending {
        WriteCoalescer.Pending(items: queues[shard].items.count, bytes: queues[shard].byteCount)
    }

    /// The pending work of a shard, in order.
    struct Work {
        var items: [QueueItem]
        var hasOverflowed: Bool
    }

    mutating func take(for shard: Int, adding done: ShardStatistics) -> Work {
        report(done)
        let queue = queues[shard]
        queues[shard] = ShardQueue(clients: queue.clients, interests: queue.interests, topics: queue.topics)
        return Work(items: queue.items, hasOverflowed: queue.hasOverflowed)
    }

    /// Adds the counters of a shard since its last report.
    mutating func report(_ done: ShardStatistics) { statistics.add(done) }

    // MARK: Subscriptions to tables

    /// - Parameters:
    ///   - since: the transaction after which they begin; nil for the next one.
    ///   - resumed: the subscriptions to which `since` belongs, if the client named them.
    mutating func subscribe(
        _ client: ClientID,
        to new: [TableSubscription],
        since: Position?,
        resuming resumed: Set<String>? = nil,
        replacing replaced: String?,
        _ reply: SubscriptionReply
    ) throws(ProtocolError) -> [Int] {
        guard try subscriptions.add(new, of: client, replacing: replaced) else { return [] }
        var start = SubscriptionChange.Start.live(notResumed: nil)
        if let since {
            let isSame = resumed.map { ids in new.allSatisfy { ids.contains($0.id) } } ?? true
            if let failure = isSame ? history.resumeFailure(after: since) : .otherSubscription {
                start = .live(notResumed: failure)
            } else {
                let pin = nextNumber()
                let since = history.resolve(since)
                history.pin(pin, after: since.sequence)
                start = .replay(pin, after: since)
            }
        }
        let change = SubscriptionChange(
            subscriptions: new,
            start: start,
            replaced: replaced,
            head: history.head,
            reply: reply
        )
        return append(.change(.subscribeToTables(change), of: client), for: client)
    }

    /// - Parameter replaced: a subscription of the client that ends when the snapshot is acknowledged; it must exist.
    mutating func hold(
        _ client: ClientID,
        _ new: TableSubscription,
        replacing replaced: String?
    ) throws(ProtocolError) -> (pin: History.Retention, woken: [Int]) {
        let pin = nextNumber()
        guard try subscriptions.add([new], of: client, replacing: replaced, hold: pin) else { return (pin, []) }
        history.pin(pin, after: history.head.sequence)
        let change = SubscriptionChange(subscriptions: [new], start: .held(pin), head: history.head)
        return (pin, append(.change(.subscribeToTables(change), of: client), for: client))
    }

    mutating func send(_ message: DirectMessage, to client: ClientID) -> [Int] {
        if let hold = message.hold { subscriptions.acknowledge(hold, of: client, ending: message.ended) }
        return append(.direct(message, to: client), for: client)
    }

    mutating func release(
        _ pin: History.Retention,
        of client: ClientID,
        _ end: EncodedMessage,
        after position: Position
    ) -> [Int] {
        subscriptions.release(pin, of: client)
        return append(.change(.release(pin, end, after: position, head: history.head), of: client), for: client)
    }

    mutating func abandon(_ pin: History.Retention, of client: ClientID, replyTo: String?) -> [Int] {
        subscriptions.abandon(pin, of: client)
        return append(.change(.abandon(pin, replyTo: replyTo), of: client), for: client)
    }

    mutating func unsubscribeAll(
        _ client: ClientID,
        from channel: MessageChannel,
        replyTo: String?
    ) -> [Int] {
        if channel == .tables { subscriptions.removeAll(of: client) } else { subscriptions.leave(channel, client) }
        return append(.change(.unsubscribe(channel, replyTo: replyTo), of: client), for: client)
    }

    mutating func unsubscribe(
        _ client: ClientID,
        from subscription: String,
        replyTo: String?
    ) throws(ProtocolError) -> [Int] {
        try subscriptions.remove(subscription, of: client)
        return append(.change(.unsubscribeFromTables(subscription, replyTo: replyTo), of: client), for: client)
    }

    /// Keeps the transactions after `sequence` for a reader in this process.
    mutating func keep(_ pin: History.Retention, after sequence: UInt64) { history.pin(pin, after: sequence) }

    /// No client needs these pins any more.
    mutating func unpin(_ pins: [History.Retention]) {
        for pin in pins { history.unpin(pin) }
        if !waiters.isEmpty { waiters.removeAll { pins.contains($0.pin) } }
    }

    // MARK: Replays

    enum ReplayStep {
        /// Send everything up to `reached`.
        case send([any Publication], reached: Position, ReplayEnd)
        /// The next transactions, up to this sequence, are only in the archive.
        case archived(through: UInt64)
        /// The position belongs to another epoch: a reset is in the client's queue, or will be.
        case otherEpoch
        /// More was published than may be kept.
        case lost
    }

    enum ReplayEnd {
        /// More parts follow.
        case more
        /// ``ClientChange/goOn(_:)`` will come.
        case waiting
        /// ``ClientChange/goLive(_:)`` is in the client's queue.
        case live
    }

    /// The next part of a client's replay.
    ///
    /// - Parameters:
    ///   - position: everything up to this position was sent.
    ///   - furthest: the transaction from which on the client receives everything that is published.
    ///   - subscriptionCount: the number of subscriptions for which each transaction is encoded.
    mutating func replay(
        _ client: ClientID,
        _ pin: History.Retention,
        after position: Position,
        furthest: UInt64,
        subscriptionCount: Int
    ) -> (ReplayStep, woken: [Int]) {
        let isEarlier = history.earlierEpochs[position.epoch] != nil
        let position = history.resolve(position)
        guard position.epoch == history.head.epoch else { return (isEarlier ? .lost : .otherEpoch, []) }
        let head = history.head
        guard position.sequence <= head.sequence else {
            waiters.append(Waiter(sequence: furthest, client: client, pin: pin))
            return (.send([], reached: position, .waiting), [])
        }
        let maxBytes = limits.replayChunkBytes / max(subscriptionCount, 1)
        guard let slice = history.slice(after: position, maxBytes: maxBytes) else {
            return (history.archivedPart(after: position).map(ReplayStep.archived) ?? .lost, [])
        }
        let reached = slice.reachesHead ? head : slice.publications.last?.position ?? head
        guard slice.reachesHead, furthest <= head.sequence else {
            history.pin(pin, after: reached.sequence)
            if slice.reachesHead { waiters.append(Waiter(sequence: furthest, client: client, pin: pin)) }
            return (.send(slice.publications, reached: reached, slice.reachesHead ? .waiting : .more), [])
        }
        history.unpin(pin)
        let woken = append(.change(.goLive(pin), of: client), for: client)
        return (.send(slice.publications, reached: reached, .live), woken)
    }

    private mutating func endWaiting(through sequence: UInt64) -> [Int] {
        let ended = waiters.filter { $0.sequence <= sequence }
        waiters.removeAll { $0.sequence <= sequence }
        var woken: [Int] = []
        for waiter in ended {
            woken += append(.change(.goOn(waiter.pin), of: waiter.client), for: waiter.client)
        }
        return woken
    }

    mutating func reset(to start: Position) -> [Int] {
        history.reset(to: start)
        waiters = []
        subscriptions.endHolds()
        return appendToAll(.reset(EpochNotice(start)))
    }

    /// Begins with the transactions of earlier processes.
    mutating func restore(_ restored: RestoredHistory, now: NIODeadline) -> [Int] {
        let epoch = restored.head.epoch
        let base = restored.publications.first.map { $0.position.sequence - 1 } ?? restored.head.sequence
        history.reset(to: Position(epoch: epoch, sequence: base), earlierEpochs: restored.earlierEpochs)
        for publication in restored.publications {
            let age = max(0, restored.time - publication.timestamp)
            history.append(publication, now: now - .milliseconds(age))
        }
        history.trim(now: now)
        waiters = []
        subscriptions.endHolds()
        return appendToAll(.reset(EpochNotice(restored.head)))
    }

    mutating func rename(to epoch: String, earlier: [String: UInt64]?) { history.rename(to: epoch, earlier: earlier) }

    mutating func trimHistory(now: NIODeadline) { history.trim(now: now) }

    mutating func clientCame(_ client: ClientID, owner: String) {
        statistics.clients += 1
        queues[client.shard].clients += 1
        subscriptions.open(client, owner: owner)
    }

    mutating func clientWent(_ client: ClientID) {
        statistics.clients -= 1
        queues[client.shard].clients -= 1
        if queues[client.shard].clients == 0 {
            queues[client.shard].interests = []
            queues[client.shard].topics = []
            interests = queues.reduce([]) { $0.union($1.interests) }
        }
        subscriptions.close(client)
    }
}

extension QueueItem {
    /// The channels that its client receives from here on.
    fileprivate var newInterests: Channels {
        switch self {
        case .change(.open(let channels, _), _): channels
        case .change(.subscribe(let channel, _, _), _): Channels(channel)
        case .change(.subscribeToTables, _): .tables
        default: []
        }
    }

    /// Whether even a shard that has to close its clients needs it.
    fileprivate var isChange: Bool {
        switch self {
        case .change, .reset, .closeEveryone: true
        case .direct(let direct, _): direct.whenTaken != nil
        case .publication, .message: false
        }
    }
}
