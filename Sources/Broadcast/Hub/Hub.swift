package import NIOCore
import Synchronization
package import WireProtocol

/// Who gets which bytes, in what order, bounded.
///
/// Every call but those that say otherwise may come from any thread, returns at once, and takes its place in one order:
/// what is published after a call to ``subscribe(_:to:since:replacing:isList:replyTo:)`` returned reaches the subscriber after its
/// acknowledgement, what was published before does not, except in a replay. Each client gets everything in this order.
///
/// Each event loop has a shard of the clients. Publishing appends to each shard's queue under one lock and schedules one
/// drain where none is scheduled; a drain joins what is pending once for all clients that hear the same and writes once
/// to each connection. So an idle hub delivers in the next turn of the event loop, and a busy one in batches, which grow
/// with the number of clients: see ``WriteCoalescer``.
package final class Hub: Sendable {
    private struct Shards {
        var list: [ShardHandle] = []
        var indices: [ObjectIdentifier: Int] = [:]
    }

    private let sequencer: SequencerLock
    private let shards = Mutex(Shards())
    private let limits: HubLimits
    private let clock: @Sendable () -> NIODeadline

    /// - Parameters:
    ///   - start: The position of the last transaction that will not be published: everything after it will.
    ///   - limits: Every bound of the hub.
    ///   - clock: For the age of what is kept.
    package init(
        start: Position,
        limits: HubLimits = HubLimits(),
        clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        sequencer = SequencerLock(Sequencer(start: start, limits: limits))
        self.limits = limits
        self.clock = clock
    }

    // MARK: Clients

    /// Takes a connection in. On the connection's event loop.
    ///
    /// - Parameters:
    ///   - connection: Held until ``disconnect(_:)``, or until the hub closes it.
    ///   - owner: The identity whose limit of distinct filters the client's subscriptions count towards.
    ///   - channels: What it gets from the start, without an acknowledgement; tables is not among them.
    ///   - restriction: What limits its view; nil for nothing.
    ///   - greeting: Makes the first messages it gets, before anything else.
    package func connect(
        _ connection: any OutboundConnection,
        owner: String = "",
        channels: Channels = .notifications,
        restriction: Restriction? = nil,
        greeting: (ClientID) -> [EncodedMessage] = { _ in [] }
    ) -> ClientID {
        let shard = shard(on: connection.eventLoop).value
        let id = sequencer.withLock { sequencer in
            let id = ClientID(shard: shard.index, number: sequencer.nextNumber())
            sequencer.clientCame(id, owner: owner)
            return id
        }
        shard.add(Client(id, connection, restriction))
        append(.change(.open(channels, greeting: greeting(id)), of: id), for: id)
        return id
    }

    /// Forgets a connection that has ended. On its event loop; again does nothing.
    package func disconnect(_ client: ClientID) {
        let shard = handle(client.shard).value
        guard let client = shard.client(client) else { return }
        shard.remove(client)
    }

    /// Takes note that nothing waits for a connection any more, after something had to. On its event loop.
    package func drained(_ client: ClientID) {
        let shard = handle(client.shard).value
        guard let client = shard.client(client) else { return }
        shard.drained(client)
    }

    /// Closes a connection after everything that was sent to it before. Its connection need not call ``disconnect(_:)``.
    package func close(_ client: ClientID, _ code: CloseCode, reason: String) {
        append(.change(.close(code, reason: reason), of: client), for: client)
    }

    /// Closes every connection that there is now, after everything that was published before.
    package func closeEveryone(_ code: CloseCode, reason: String) {
        appendToAll(.closeEveryone(code, reason: reason))
    }

    // MARK: Messages

    /// To every subscriber of a channel but one.
    ///
    /// - Parameter restricted: what a client with a ``Restriction`` gets instead; nil where it gets the same.
    package func send(
        _ message: EncodedMessage,
        to channel: MessageChannel,
        except excluded: ClientID? = nil,
        restricted: RestrictedMessage? = nil
    ) {
        appendToAll(.message(message, to: .channel(channel, except: excluded, restricted: restricted)))
    }

    /// Whether a message to the channel may have a receiver: spares making one that has not.
    package func hasListeners(_ channel: MessageChannel) -> Bool {
        sequencer.withLock { $0.hasListeners(channel) }
    }

    /// To everybody but one, whatever they subscribed to.
    package func sendToEveryone(_ message: EncodedMessage, except excluded: ClientID? = nil) {
        appendToAll(.message(message, to: .everyone(except: excluded)))
    }

    /// To one client.
    ///
    /// A sender of many messages keeps no more than a few calls without `whenTaken` answered: that is what bounds the
    /// memory.
    ///
    /// - Parameter whenTaken: Called on the client's event loop, once: with true when at most
    ///   ``HubLimits/resumeQueuedBytes`` wait for it, with false when it is gone.
    package func send(_ message: EncodedMessage, to client: ClientID, whenTaken: WhenTaken? = nil) {
        wake(sequencer.withLock { $0.send(DirectMessage(message: message, whenTaken: whenTaken), to: client) })
    }

    /// To a client with a subscription that waits for its snapshot, and only while it does: what comes after the answer to
    /// an `unsubscribe`, or to a `subscribe` that replaces it, would be taken for part of the next.
    ///
    /// - Parameters:
    ///   - isAcknowledgement: The message is the `subscribed` of the snapshot: the subscription that it replaces ends.
    ///   - whenTaken: As with ``send(_:to:whenTaken:)``; with false also when the hold is over, and the message was
    ///     not written.
    package func send(
        _ message: EncodedMessage,
        under hold: SnapshotHold,
        isAcknowledgement: Bool = false,
        whenTaken: @escaping WhenTaken
    ) {
        let ended = isAcknowledgement ? hold.replaced : nil
        let direct = DirectMessage(message: message, hold: hold.pin, ended: ended, whenTaken: whenTaken)
        wake(sequencer.withLock { $0.send(direct, to: hold.client) })
    }

    // MARK: Topics

    /// To every client that has joined the topic.
    package func send(_ message: EncodedMessage, to topic: Topic) {
        appendToAll(.message(message, to: .topic(topic)))
    }

    /// What is sent to the topic after this returned reaches the client.
    package func join(_ client: ClientID, _ topic: Topic) { append(.change(.join(topic), of: client), for: client) }

    /// What is sent to the topic after this returned does not reach the client.
    package func leave(_ client: ClientID, _ topic: Topic) { append(.change(.leave(topic), of: client), for: client) }

    // MARK: Subscriptions

    /// Subscribes a client to a channel other than tables. It gets `subscribed` and `then`, then what comes.
    package func subscribe(
        _ client: ClientID,
        to channel: MessageChannel,
        replyTo: String? = nil,
        then: [EncodedMessage] = []
    ) {
        precondition(channel != .tables, "subscriptions to tables have filters")
        append(.change(.subscribe(channel, replyTo: replyTo, then: then), of: client), for: client)
    }

    /// Adds subscriptions to tables; one that the client has already begins again.
    ///
    /// The client gets `subscribed`, then what it asked to have replayed, then what comes. The position in `subscribed` is
    /// that after which everything follows. Without `since` that is the newest; for a subscription that replaces one
    /// which is still being replayed, it is as far as that has come. For a snapshot see ``hold(_:_:replacing:)``.
    ///
    /// - Parameters:
    ///   - since: Everything after this transaction is replayed first, for all of them together.
    ///   - replaced: The id of the subscription that ends with this, without gap or repetition.
    ///   - isList: The request had a list, and so has the answer, in the same order.
    /// - Throws: `SUBSCRIPTION_NOT_FOUND` for `replaced`, `RATE_LIMITED` at a limit; nothing has changed then.
    package func subscribe(
        _ client: ClientID,
        to subscriptions: [TableSubscription],
        since: Position? = nil,
        replacing replaced: String? = nil,
        isList: Bool = false,
        replyTo: String? = nil
    ) throws(ProtocolError) {
        let now = clock()
        let reply = SubscriptionReply(replyTo: replyTo, list: isList ? subscriptions.map(\.id) : nil)
        var distinct: [TableSubscription] = []
        for subscription in subscriptions where !distinct.contains(subscription) { distinct.append(subscription) }
        let result = sequencer.withLock { sequencer in
            Result { () throws(ProtocolError) in
                // It may be long ago that something was published, which is when old transactions are dropped.
                sequencer.trimHistory(now: now)
                return try sequencer.subscribe(client, to: distinct, since: since, replacing: replaced, reply)
            }
        }
        wake(try result.get())
    }

    /// Ends a client's subscription to a channel, for tables all of them; it gets `unsubscribed`.
    package func unsubscribeAll(_ client: ClientID, from channel: MessageChannel, replyTo: String? = nil) {
        wake(sequencer.withLock { $0.unsubscribeAll(client, from: channel, replyTo: replyTo) })
    }

    /// Ends one of a client's subscriptions to tables; it gets `unsubscribed`.
    ///
    /// - Throws: `SUBSCRIPTION_NOT_FOUND`.
    package func unsubscribe(
        _ client: ClientID,
        from subscription: String,
        replyTo: String? = nil
    ) throws(ProtocolError) {
        let result = sequencer.withLock { sequencer in
            Result { () throws(ProtocolError) in
                try sequencer.unsubscribe(client, from: subscription, replyTo: replyTo)
            }
        }
        wake(try result.get())
    }

    /// Subscribes a client to tables, and holds everything back from this subscription until ``release(_:_:after:)``: what
    /// a snapshot needs.
    ///
    /// SnapshotHold first, then begin the read transaction of the snapshot, then send
    /// ``EncodedMessage/subscribed(_:replyTo:)`` and the rows with their position under the hold, then release. Nothing is
    /// buffered for the client meanwhile: the history keeps what it will need, up to ``HistoryLimits/maxPinnedBytes``.
    ///
    /// - Parameter replaced: The id of the subscription that ends with the acknowledgement.
    /// - Throws: As ``subscribe(_:to:since:replacing:isList:replyTo:)``.
    package func hold(
        _ client: ClientID,
        _ subscription: TableSubscription,
        replacing replaced: String? = nil
    ) throws(ProtocolError) -> SnapshotHold {
        // An equal one begins again at once.
        let replaced = replaced == subscription.id ? nil : replaced
        let result = sequencer.withLock { sequencer in
            Result { () throws(ProtocolError) in try sequencer.hold(client, subscription, replacing: replaced) }
        }
        let (pin, woken) = try result.get()
        wake(woken)
        return SnapshotHold(client: client, subscription: subscription, replaced: replaced, pin: pin)
    }

    /// Sends what ends a snapshot, and lets follow what was committed after its position, which may not have been published
    /// yet. Nothing of the client's other subscriptions comes between the two: the next `transaction:end` is for this one too.
    /// Does nothing when the hold is over.
    package func release(_ hold: SnapshotHold, _ end: EncodedMessage, after position: Position) {
        wake(sequencer.withLock { $0.release(hold.pin, of: hold.client, end, after: position) })
    }

    /// Ends the subscription of a snapshot that failed. Does nothing when the hold is over: what the client has subscribed
    /// to since stays.
    package func abandon(_ hold: SnapshotHold, replyTo: String? = nil) {
        wake(sequencer.withLock { $0.abandon(hold.pin, of: hold.client, replyTo: replyTo) })
    }

    /// Whether a snapshot still has a reader: not when the client is gone, subscribed again or unsubscribed, and not after
    /// ``reset(to:)``, which has notified the client that it must begin again.
    package func isHeld(_ hold: SnapshotHold) -> Bool {
        sequencer.withLock { $0.history.isPinned(hold.pin) }
    }

    /// A subscription that waits for its snapshot.
    package struct SnapshotHold: Sendable, Hashable {
        package let client: ClientID
        package let subscription: TableSubscription
        let replaced: String?
        let pin: History.Retention
    }

    // MARK: Transactions

    /// Publishes a committed transaction, and keeps it for clients that resume.
    ///
    /// Calls must come in the order of positions, one at a time: transactions are numbered and published under the same
    /// lock or on the same thread. The messages for every subscription are made before the hub's lock is taken.
    ///
    /// Precondition: the position comes after ``position``, in the same epoch.
    package func publish(_ publication: any Publication) {
        let delivery = Delivery(publication)
        for subscription in sequencer.withLock({ $0.subscriptions.distinct }) {
            _ = delivery.messages(for: subscription)
        }
        let now = clock()
        wake(sequencer.withLock { $0.publish(delivery, now: now) })
    }

    /// Begins a new epoch: nothing of the old can be resumed. Each subscription to tables gets `subscribed` with
    /// `recovered: false` and the new position, and goes on there.
    package func reset(to start: Position) {
        wake(sequencer.withLock { $0.reset(to: start) })
    }

    /// The last transaction that was published.
    package var position: Position { sequencer.withLock { $0.history.head } }

    /// Every subscription to tables that some client has now, once.
    package var subscriptions: [TableSubscription] { sequencer.withLock { $0.subscriptions.distinct } }

    /// The subscriptions of a client to tables, in the order of subscribing.
    package func subscriptions(of client: ClientID) -> [TableSubscription] {
        sequencer.withLock { $0.subscriptions.subscriptions(of: client) }
    }

    package var statistics: HubStatistics {
        sequencer.withLock { sequencer in
            var statistics = sequencer.statistics
            statistics.historyTransactions = sequencer.history.count
            statistics.historyBytes = sequencer.history.byteCount
            return statistics
        }
    }

    // MARK: Shards

    private func append(_ item: QueueItem, for client: ClientID) {
        wake(sequencer.withLock { $0.append(item, for: client) })
    }

    private func appendToAll(_ item: QueueItem) {
        wake(sequencer.withLock { $0.appendToAll(item) })
    }

    private func wake(_ indices: [Int]) {
        guard !indices.isEmpty else { return }
        for handle in shards.withLock({ shards in indices.map { shards.list[$0] } }) {
            handle.eventLoop.execute { handle.value.wake() }
        }
    }

    private func handle(_ index: Int) -> ShardHandle { shards.withLock { $0.list[index] } }

    /// The shard of the event loop that the caller is on; made for its first client.
    private func shard(on eventLoop: any EventLoop) -> ShardHandle {
        shards.withLock { shards in
            if let index = shards.indices[ObjectIdentifier(eventLoop)] { return shards.list[index] }
            let index = sequencer.withLock { $0.addShard() }
            let shard = Shard(index: index, eventLoop: eventLoop, sequencer: sequencer, limits: limits)
            let handle = NIOLoopBound(shard, eventLoop: eventLoop)
            shards.list.append(handle)
            shards.indices[ObjectIdentifier(eventLoop)] = index
            return handle
        }
    }
}

/// Lets nobody but its event loop have a shard.
typealias ShardHandle = NIOLoopBound<Shard>

/// The hub's one lock, shared with its shards. Nothing is called under it but the sequencer.
final class SequencerLock: Sendable {
    private let sequencer: Mutex<Sequencer>

    init(_ sequencer: Sequencer) { self.sequencer = Mutex(sequencer) }

    func withLock<R: Sendable>(_ body: (inout Sequencer) -> R) -> R {
        sequencer.withLock { sequencer in body(&sequencer) }
    }
}
