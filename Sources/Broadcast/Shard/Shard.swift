import NIOCore
import Synchronization
import WireProtocol

/// The clients of one event loop, and all writes to them. Confined to the event loop.
///
/// A drain takes the pending items and makes one buffer for each group of clients with the same subscriptions. The few
/// clients that an item names, because it is only for them, or not for them, or changes their subscriptions, are taken
/// out of their groups for the drain and process the items one by one.
final class Shard {
    let index: Int
    let eventLoop: any EventLoop
    let sequencer: SequencerLock
    let limits: HubLimits
    private let archive: (any HistoryArchive)?

    private var clients: [UInt64: Client] = [:]
    private var groups: [SubscriberGroup.Key: SubscriberGroup] = [:]
    /// Clients with a subscription to tables that is not live: a reset concerns each individually.
    private var notLive: [UInt64: Client] = [:]
    private var gathering: WriteCoalescer
    var done = ShardStatistics()
    /// A drain iterates over the groups: clients that leave are removed afterwards.
    private var isDraining = false
    private var departed: [Client] = []
    /// Clients whose queue became empty during a drain.
    private var relieved: [Client] = []

    init(
        index: Int,
        eventLoop: any EventLoop,
        sequencer: SequencerLock,
        limits: HubLimits,
        archive: (any HistoryArchive)?
    ) {
        self.index = index
        self.eventLoop = eventLoop
        self.sequencer = sequencer
        self.limits = limits
        self.archive = archive
        gathering = WriteCoalescer(limits: limits)
    }

    // MARK: Adding and removing clients

    func add(_ client: Client) { clients[client.id.number] = client }

    func client(_ id: ClientID) -> Client? { clients[id.number] }

    /// Removes a client that has disconnected, or that must not be written to any more.
    func remove(_ client: Client) {
        guard !client.isGone else { return }
        client.isGone = true
        clients[client.id.number] = nil
        notLive[client.id.number] = nil
        let pins = client.tables.pins
        client.tables = TablesFeed()
        // Reported at once: the next drain may be far away.
        let done = done
        self.done = ShardStatistics()
        sequencer.withLock { sequencer in
            sequencer.report(done)
            sequencer.clientWent(client.id)
            sequencer.unpin(pins)
        }
        let waiting = client.waiting
        client.waiting = []
        if isDraining {
            client.group?.mute(client)
            departed.append(client)
        } else {
            leaveGroup(client)
        }
        for whenTaken in waiting { whenTaken(false) }
    }

    func closeAsTooSlow(_ client: Client, _ reason: String) {
        guard !client.isGone else { return }
        done.closedAsTooSlow += 1
        remove(client)
        client.connection.close(.tooSlow, reason: reason)
    }

    // MARK: Draining

    /// Items are pending: writes them, at once or after a short delay for more.
    func wake() {
        if gathering.waits(pending, clients: clients.count, now: eventLoop.now) {
            eventLoop.assumeIsolated().execute { self.wake() }
        } else {
            drain()
        }
    }

    private var pending: WriteCoalescer.Pending { sequencer.withLock { [index] in $0.pending(for: index) } }

    /// Writes all pending items: once to each connection.
    private func drain() {
        let work = sequencer.withLock { $0.take(for: index, adding: done) }
        done = ShardStatistics()
        isDraining = true
        if work.hasOverflowed {
            for client in Array(clients.values) {
                closeAsTooSlow(client, "the service published more than \(limits.maxPendingBytes) bytes at once")
            }
        }
        for item in work.items { settleIfUnclaimed(item) }
        let (individuals, common) = individuals(in: work.items)
        for group in groups.values { write(work.items, to: group) }
        for client in individuals { writeIndividually(work.items, common, to: client) }
        isDraining = false
        for client in departed { leaveGroup(client) }
        departed = []
        for client in individuals { settle(client) }
        let relieved = relieved
        self.relieved = []
        for client in relieved { canTakeMore(client) }
    }

    /// Marks and returns the clients of this shard that an item names, and the indices of the items that are not for one
    /// client alone: with many clients it would take too long to look for each client's items among all.
    private func individuals(in items: [QueueItem]) -> (clients: [Client], common: [Int]) {
        var individuals: [Client] = []
        var common: [Int] = []
        func add(_ client: Client) {
            guard !client.isIndividual else { return }
            client.isIndividual = true
            client.group?.mute(client)
            individuals.append(client)
        }
        for (index, item) in items.enumerated() {
            let named = item.client.flatMap { id in id.shard == self.index ? clients[id.number] : nil }
            if let named { add(named) }
            switch item {
            case .direct, .change:
                named?.named.append(index)
                continue
            case .reset: notLive.values.forEach(add)
            case .closeEveryone: clients.values.forEach(add)
            case .publication, .message: break
            }
            common.append(index)
        }
        return (individuals, common)
    }

    private func write(_ items: [QueueItem], to group: SubscriberGroup) {
        let frames = group.frames(of: items)
        guard frames.byteCount > 0 else { return }
        var writes: UInt64 = 0
        // Groups do not change during a drain.
        for index in group.members.indices {
            guard let connection = group.members[index].connection else { continue }
            writes += 1
            let waiting = frames.write(to: connection)
            if waiting > limits.maxQueuedBytes { written(frames, to: group.members[index].client, waiting) }
        }
        count(frames, writes)
    }

    /// Writes to one connection.
    func write(_ frames: FrameBatch, to client: Client) {
        guard frames.byteCount > 0, !client.isGone else { return }
        count(frames, 1)
        let waiting = frames.write(to: client.connection)
        if waiting > limits.maxQueuedBytes { written(frames, to: client, waiting) }
    }

    private func count(_ frames: FrameBatch, _ receivers: UInt64) {
        done.writes += receivers * UInt64(frames.bufferCount)
        done.writtenBytes += receivers * UInt64(frames.byteCount)
    }

    /// Closes a connection whose queue is too long, unless it contains only what was just written.
    private func written(_ frames: FrameBatch, to client: Client, _ waiting: Int) {
        guard waiting > frames.byteCount else { return }
        closeAsTooSlow(client, "more than \(limits.maxQueuedBytes) bytes wait for the client to read")
    }

    /// After a drain: moves the client to its group, continues its replay, and calls back waiting senders.
    private func settle(_ client: Client) {
        client.isIndividual = false
        client.named = []
        guard !client.isGone else { return }
        let key = SubscriberGroup.Key(
            subscriptions: client.subscriptions,
            frameEncoding: client.connection.frameEncoding
        )
        if let group = client.group, group.key == key {
            group.unmute(client)
        } else {
            leaveGroup(client)
            joinGroup(client, key)
        }
        notLive[client.id.number] = client.tables.isBehind ? client : nil
        canTakeMore(client)
    }

    private func joinGroup(_ client: Client, _ key: SubscriberGroup.Key) {
        if let group = groups[key] { return group.add(client) }
        let group = SubscriberGroup(key)
        groups[key] = group
        group.add(client)
    }

    private func leaveGroup(_ client: Client) {
        guard let group = client.group else { return }
        group.remove(client)
        if group.members.isEmpty { groups[group.key] = nil }
    }

    /// Handles an empty queue of a client.
    func drained(_ client: Client) {
        if isDraining { relieved.append(client) } else { canTakeMore(client) }
    }

    private func settleIfUnclaimed(_ item: QueueItem) {
        guard let id = item.client, id.shard == index, clients[id.number] == nil else { return }
        settleUnclaimed(item)
    }

    /// The client of an item has disconnected: releases what was reserved for it.
    func settleUnclaimed(_ item: QueueItem) {
        switch item {
        case .direct(let direct, _): direct.whenTaken?(false)
        case .change(.subscribeToTables(let change), _):
            if let pin = change.start.pin { sequencer.withLock { $0.unpin([pin]) } }
        default: break
        }
    }
}

/// What a client receives at its own pace: replays, and messages for it alone.
extension Shard {
    /// The client can take more: calls back waiting senders, and sends the next part of a replay.
    func canTakeMore(_ client: Client) {
        guard !client.isGone, client.connection.queuedBytes <= limits.resumeQueuedBytes else { return }
        let waiting = client.waiting
        client.waiting = []
        for whenTaken in waiting { whenTaken(true) }
        replay(to: client)
    }

    /// Sends the next part of the history, one in each turn of the event loop, so that other clients are served in
    /// between.
    private func replay(to client: Client) {
        guard let catchUp = client.tables.catchUp, catchUp.progress == .running, !client.isReplaying else { return }
        let furthest = client.tables.furthest
        let count = client.tables.entries.count
        let (step, woken) = sequencer.withLock { sequencer in
            sequencer.replay(
                client.id,
                catchUp.pin,
                after: catchUp.after,
                furthest: furthest,
                subscriptionCount: count
            )
        }
        if !woken.isEmpty { wakeLater() }
        switch step {
        case .send(let publications, let reached, let end):
            send(publications, reached: reached, end, to: client)
        case .archived(let last):
            load(after: catchUp.after, through: last, for: client)
        case .otherEpoch:
            // A reset is in the queue and makes the client live.
            break
        case .lost:
            closeAsTooSlow(client, "more was committed than is kept for a client that catches up")
        }
    }

    private func send(
        _ publications: [any Publication],
        reached: Position,
        _ end: Sequencer.ReplayEnd,
        to client: Client
    ) {
        client.isReplaying = true
        let messages = client.tables.replay(publications, reached: reached, end)
        var frames = FrameSequence(frameEncoding: client.connection.frameEncoding)
        for message in messages { frames.append(message) }
        for message in messagesAfterReplay(of: client) { frames.append(own: message) }
        write(frames.batch, to: client)
        if case .more = end, !client.isGone { continueLater(client) } else { client.isReplaying = false }
    }

    /// Reads the next part of a replay from the archive, on another thread: the disk must not delay other clients.
    private func load(after position: Position, through last: UInt64, for client: Client) {
        client.isReplaying = true
        let target = NIOLoopBound((shard: self, client: client), eventLoop: eventLoop)
        archive?.load(after: position, through: last, maxBytes: limits.replayChunkBytes) { publications in
            target.eventLoop.execute {
                target.value.shard.loaded(publications, after: position, for: target.value.client)
            }
        }
    }

    private func loaded(_ publications: [any Publication]?, after position: Position, for client: Client) {
        client.isReplaying = false
        guard !client.isGone else { return }
        // The subscriptions can have changed meanwhile: then another part is next.
        guard let catchUp = client.tables.catchUp, catchUp.progress == .running, catchUp.after == position else {
            return canTakeMore(client)
        }
        guard let publications, let reached = publications.last?.position else {
            return closeAsTooSlow(client, "what was committed could not be read from the state on disk")
        }
        send(publications, reached: reached, .more, to: client)
    }

    private func continueLater(_ client: Client) {
        eventLoop.assumeIsolated().execute {
            client.isReplaying = false
            self.canTakeMore(client)
        }
    }

    /// Never wakes other event loops: only the client's own change to live was queued.
    private func wakeLater() {
        eventLoop.assumeIsolated().execute { self.wake() }
    }
}
