import NIOConcurrencyHelpers
package import NIOCore
import Synchronization
package import WireProtocol

/// Distributes messages to the clients, in order and within limits.
///
/// Unless stated otherwise, every call may come from any thread, returns at once, and takes its place in one order:
/// messages published after a call to ``subscribe(_:to:since:replacing:isList:replyTo:)`` returned reach the subscriber
/// after its acknowledgement; messages published before do not, except in a replay. Each client receives everything in
/// this order.
///
/// Each event loop has a shard of the clients. Publishing appends to each shard's queue under one lock and schedules a
/// drain unless one is scheduled; a drain joins the pending messages once for all clients with the same subscriptions
/// and writes once to each connection. So an idle hub delivers in the next turn of the event loop, and a busy one in
/// batches that grow with the number of clients: see ``WriteCoalescer``.
package final class Hub: Sendable {
    private struct Shards {
        var list: [ShardHandle] = []
        var indices: [ObjectIdentifier: Int] = [:]
    }

    private let sequencer: SequencerLock
    private let shards = Mutex(Shards())
    private let limits: HubLimits
    private let archive: (any HistoryArchive)?
    private let clock: @Sendable () -> NIODeadline
    private let followers = FollowerList()

    /// - Parameters:
    ///   - start: The position of the last transaction that will not be published: all later ones will be.
    ///   - limits: All limits of the hub.
    ///   - archive: Where transactions are kept longer than in memory.
    ///   - clock: The time source for the age of kept transactions.
    package init(
        start: Position,
        limits: HubLimits = HubLimits(),
        archive: (any HistoryArchive)? = nil,
        clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        sequencer = SequencerLock(Sequencer(start: start, limits: limits, archive: archive))
        self.limits = limits
        self.archive = archive
        self.clock = clock
    }

    // MARK: Clients

    /// Adds a connection. Call it on the connection's event loop.
    ///
    /// - Parameters:
    ///   - connection: Retained until ``disconnect(_:)``, or until the hub closes it.
    ///   - owner: The identity to whose limit of distinct filters the client's subscriptions count.
    ///   - channels: The channels it receives from the start, without an acknowledgement; not tables.
    ///   - restriction: What restricts its view; nil for no restriction.
    ///   - greeting: Creates the first messages that it receives, before anything else.
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

    /// Removes a connection that has ended. Call it on its event loop; a second call does nothing.
    package func disconnect(_ client: ClientID) {
        let shard = handle(client.shard).value
        guard let client = shard.client(client) else { return }
        shard.remove(client)
    }

    /// The connection calls this when its queue is empty, after something had to wait. Call it on its event loop.
    package func drained(_ client: ClientID) {
        let shard = handle(client.shard).value
        guard let client = shard.client(client) else { return }
        shard.drained(client)
    }

    /// Closes a connection after all messages that were sent to it before. Its connection need not call
    /// ``disconnect(_:)``.
    package func close(_ client: ClientID, _ code: CloseCode, reason: String) {
        append(.change(.close(code, reason: reason), of: client), for: client)
    }

    /// Closes all current connections, after everything that was published before.
    package func closeEveryone(_ code: CloseCode, reason: String) {
        appendToAll(.closeEveryone(code, reason: reason))
    }

    // MARK: Messages

    /// Sends a message to every subscriber of a channel, except one client.
    ///
    /// - Parameter restricted: the message for clients with a ``Restriction``; nil when they receive the same.
    package func send(
        _ message: EncodedMessage,
        to channel: MessageChannel,
        except excluded: ClientID? = nil,
        restricted: RestrictedMessage? = nil
    ) {
        appendToAll(.message(message, to: .channel(channel, except: excluded, restricted: restricted)))
    }

    /// Whether a message to the channel may have a receiver: avoids creating messages without receivers.
    package func hasListeners(_ channel: MessageChannel) -> Bool { sequencer.interests.contains(Channels(channel)) }

    /// Sends a message to all clients except one, whatever they subscribed to.
    package func sendToEveryone(_ message: EncodedMessage, except excluded: ClientID? = nil) {
        appendToAll(.message(message, to: .everyone(except: excluded)))
    }

    /// Sends a message to one client.
    ///
    /// A sender of many messages waits for `whenTaken` after a few of them, which limits the memory.
    ///
    /// - Parameter whenTaken: Called on the client's event loop, once: with true when at most
    ///   ``HubLimits/resumeQueuedBytes`` wait for the client, with false when it has disconnected.
    package func send(_ message: EncodedMessage, to client: ClientID, whenTaken: WhenTaken? = nil) {
        send([message], to: client, whenTaken: whenTaken)
    }

    /// Sends a message to one client when its subscriptions to tables have caught up with the transactions published
    /// before this call; those that wait for a snapshot are not waited for.
    package func sendAfterReplay(_ message: EncodedMessage, to client: ClientID) {
        append(.direct(DirectMessage(message: message, isAfterReplay: true), to: client), for: client)
    }

    /// Sends messages to one client, without others between them.
    ///
    /// - Parameter whenTaken: as in ``send(_:to:whenTaken:)``, for all of them.
    package func send(_ messages: [EncodedMessage], to client: ClientID, whenTaken: WhenTaken? = nil) {
        wake(
            sequencer.withLock { sequencer in
                var woken: [Int] = []
                for (index, message) in messages.enumerated() {
                    let isLast = index == messages.count - 1
                    let direct = DirectMessage(message: message, whenTaken: isLast ? whenTaken : nil)
                    woken += sequencer.send(direct, to: client)
                }
                return woken
            }
        )
    }

    /// Sends a message to a client with a subscription that waits for its snapshot, and only while it waits: the client
    /// would treat a message after the reply to an `unsubscribe`, or to a `subscribe` that replaces it, as part of the
    /// next snapshot.
    ///
    /// - Parameters:
    ///   - isAcknowledgement: Whether the message is the `subscribed` of the snapshot: then the subscription that it
    ///     replaces ends.
    ///   - whenTaken: As in ``send(_:to:whenTaken:)``; also called with false when the hold has ended, and the message
    ///     was not written.
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

    /// Sends a message to every client that has joined the topic.
    package func send(_ message: EncodedMessage, to topic: Topic) {
        appendToAll(.message(message, to: .topic(topic)))
    }

    /// Messages sent to the topic after this returned reach the client.
    package func join(_ client: ClientID, _ topic: Topic) { append(.change(.join(topic), of: client), for: client) }

    /// Messages sent to the topic after this returned do not reach the client.
    package func leave(_ client: ClientID, _ topic: Topic) { append(.change(.leave(topic), of: client), for: client) }

    // MARK: Subscriptions

    /// Subscribes a client to a channel other than tables. It receives `subscribed` and `then`, followed by later
    /// messages.
    package func subscribe(
        _ client: ClientID,
        to channel: MessageChannel,
        replyTo: String? = nil,
        then: [EncodedMessage] = []
    ) {
        precondition(channel != .tables, "subscriptions to tables have filters")
        append(.change(.subscribe(channel, replyTo: replyTo, then: then), of: client), for: client)
    }

    /// Adds subscriptions to tables; an existing equal one begins again.
    ///
    /// The client receives `subscribed`, then the requested replay, then later transactions. Everything after the
    /// position in `subscribed` follows. Without `since` this is the newest position; for a subscription that replaces
    /// one which is still being replayed, it is the position that the replay has reached. For a snapshot see
    /// ``hold(_:_:replacing:)``.
    ///
    /// - Parameters:
    ///   - since: All transactions after this one are replayed first, for all of the subscriptions together.
    ///   - resumed: The ids of the subscriptions that received everything up to `since`; nothing is replayed to others.
    ///   - replaced: The id of the subscription that this one replaces, without a gap or a repetition.
    ///   - isList: Whether the request had a list: then the reply has one too, in the same order.
    /// - Throws: `SUBSCRIPTION_NOT_FOUND` for `replaced`, `RATE_LIMITED` at a limit; then nothing has changed.
    package func subscribe(
        _ client: ClientID,
        to subscriptions: [TableSubscription],
        since: Position? = nil,
        resuming resumed: Set<String>? = nil,
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
                // Old transactions are dropped when one is published, and the last time may be long ago.
                sequencer.trimHistory(now: now)
                return try sequencer.subscribe(
                    client,
                    to: distinct,
                    since: since,
                    resuming: resumed,
                    replacing: replaced,
                    reply
                )
            }
        }
        wake(try result.get())
    }

    /// Ends a client's subscription to a channel, for tables all of its subscriptions; the client receives
    /// `unsubscribed`.
    package func unsubscribeAll(_ client: ClientID, from channel: MessageChannel, replyTo: String? = nil) {
        wake(sequencer.withLock { $0.unsubscribeAll(client, from: channel, replyTo: replyTo) })
    }

    /// Ends one of a client's subscriptions to tables; the client receives `unsubscribed`.
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

    /// Subscribes a client to tables, and holds back the transactions of this subscription until
    /// ``release(_:_:after:)``, as a snapshot needs it.
    ///
    /// First hold, then begin the read transaction of the snapshot, then send ``EncodedMessage/subscribed(_:replyTo:)``
    /// and the rows with their position under the hold, then release. Nothing is buffered for the client meanwhile: the
    /// history keeps the transactions that it will need, up to ``HistoryLimits/maxPinnedBytes``.
    ///
    /// - Parameter replaced: The id of the subscription that ends with the acknowledgement.
    /// - Throws: Like ``subscribe(_:to:since:replacing:isList:replyTo:)``.
    package func hold(
        _ client: ClientID,
        _ subscription: TableSubscription,
        replacing replaced: String? = nil
    ) throws(ProtocolError) -> SnapshotHold {
        // An equal subscription begins again at once.
        let replaced = replaced == subscription.id ? nil : replaced
        let result = sequencer.withLock { sequencer in
            Result { () throws(ProtocolError) in try sequencer.hold(client, subscription, replacing: replaced) }
        }
        let (pin, woken) = try result.get()
        wake(woken)
        return SnapshotHold(client: client, subscription: subscription, replaced: replaced, pin: pin)
    }

    /// Sends the end of a snapshot, followed by the transactions after its position, which may not have been published
    /// yet. No message of the client's other subscriptions comes in between: the next `transaction:end` also covers
    /// this one. Does nothing when the hold has ended.
    package func release(_ hold: SnapshotHold, _ end: EncodedMessage, after position: Position) {
        wake(sequencer.withLock { $0.release(hold.pin, of: hold.client, end, after: position) })
    }

    /// Ends the subscription of a snapshot that failed. Does nothing when the hold has ended: later subscriptions of
    /// the client stay.
    package func abandon(_ hold: SnapshotHold, replyTo: String? = nil) {
        wake(sequencer.withLock { $0.abandon(hold.pin, of: hold.client, replyTo: replyTo) })
    }

    /// Whether a snapshot still has a reader: false when the client has disconnected, subscribed again or unsubscribed,
    /// and after ``reset(to:)``, which has notified the client that it must begin again.
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
    /// Calls must come in the order of positions, one at a time: number and publish transactions under the same lock or
    /// on the same thread. The messages for every subscription are encoded before the hub's lock is taken.
    ///
    /// Precondition: the position comes after ``position``, in the same epoch.
    package func publish(_ publication: any Publication) { publish([publication]) }

    /// Publishes several transactions in order: the lock is taken and each event loop is woken once for all of them.
    ///
    /// Precondition: their positions follow one another, after ``position`` and in the same epoch.
    package func publish(_ publications: [any Publication]) {
        let deliveries = publications.map(Delivery.init)
        let subscriptions = sequencer.withLock { $0.subscriptions.distinct }
        for delivery in deliveries {
            for subscription in subscriptions { _ = delivery.messages(for: subscription) }
        }
        let now = clock()
        wake(sequencer.withLock { sequencer in deliveries.flatMap { sequencer.publish($0, now: now) } })
        followers.wake()
    }

    /// Begins a new epoch: clients cannot resume from the old one. Each subscription to tables receives `subscribed`
    /// with `recovered: false` and the new position, and continues there.
    package func reset(to start: Position) {
        wake(sequencer.withLock { $0.reset(to: start) })
        followers.wake()
    }

    /// Continues the epoch of an earlier process, before anything is published. Clients that are already connected begin again, like
    /// after ``reset(to:)``.
    ///
    /// Precondition: the publications are consecutive and end at the head.
    package func restore(_ history: RestoredHistory) {
        let now = clock()
        wake(sequencer.withLock { $0.restore(history, now: now) })
        followers.wake()
    }

    /// Continues the same run of transactions under another epoch: nothing is missing for any client, and positions of both
    /// epochs are valid.
    ///
    /// - Parameter earlier: all other epochs of the run, each with its last sequence; nil when they are not known yet.
    package func rename(to epoch: String, earlier: [String: UInt64]? = nil) {
        sequencer.withLock { $0.rename(to: epoch, earlier: earlier) }
    }

    /// The other epochs of the current run of transactions, each with its last sequence.
    package var earlierEpochs: [String: UInt64] { sequencer.withLock { $0.history.earlierEpochs } }

    /// Whether the position is of the current epoch.
    package func knows(_ position: Position) -> Bool {
        sequencer.withLock { $0.history.resolve(position).epoch == $0.history.head.epoch }
    }

    /// Whether the transaction of the position was published here, or before.
    package func hasPublished(_ position: Position) -> Bool {
        sequencer.withLock { sequencer in
            let (position, head) = (sequencer.history.resolve(position), sequencer.history.head)
            return position.epoch == head.epoch && position.sequence <= head.sequence
        }
    }

    /// The position in the current epoch that an earlier one names.
    package func resolve(_ position: Position) -> Position { sequencer.withLock { $0.history.resolve(position) } }

    /// The last published transaction.
    package var position: Position { sequencer.withLock { $0.history.head } }

    /// The distinct subscriptions to tables of all current clients.
    package var subscriptions: [TableSubscription] { sequencer.withLock { $0.subscriptions.distinct } }

    /// The subscriptions of a client to tables, in the order of subscribing.
    package func subscriptions(of client: ClientID) -> [TableSubscription] {
        sequencer.withLock { $0.subscriptions.subscriptions(of: client) }
    }

    /// The channels that a client receives, at the end of the order.
    package func channels(of client: ClientID) -> Channels {
        sequencer.withLock { $0.subscriptions.channels(of: client) }
    }

    package var statistics: HubStatistics {
        sequencer.withLock { sequencer in
            var statistics = sequencer.statistics
            statistics.historyTransactions = sequencer.history.count
            statistics.historyBytes = sequencer.history.byteCount
            return statistics
        }
    }

    // MARK: Followers

    /// Adds a reader of the history in this process. It is no client: it reads when it can, and nothing is queued for it.
    ///
    /// - Parameter wake: called after each transaction and each new epoch, on the publisher's thread: it returns at once.
    package func follow(_ wake: @escaping @Sendable () -> Void) -> HistoryFollower {
        let number = sequencer.withLock { $0.nextNumber() }
        followers.add(number, wake)
        return HistoryFollower(number: number, sequencer: sequencer, archive: archive, followers: followers)
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

    /// The shard of the caller's event loop; created for its first client.
    private func shard(on eventLoop: any EventLoop) -> ShardHandle {
        shards.withLock { shards in
            if let index = shards.indices[ObjectIdentifier(eventLoop)] { return shards.list[index] }
            let index = sequencer.withLock { $0.addShard() }
            let shard = Shard(
                index: index,
                eventLoop: eventLoop,
                sequencer: sequencer,
                limits: limits,
                archive: archive
            )
            let handle = NIOLoopBound(shard, eventLoop: eventLoop)
            shards.list.append(handle)
            shards.indices[ObjectIdentifier(eventLoop)] = index
            return handle
        }
    }
}

/// Restricts access to a shard to its event loop.
typealias ShardHandle = NIOLoopBound<Shard>

/// The hub's one lock, shared with its shards. Under it only the sequencer is called.
///
/// Not the standard library's `Mutex`, which on Linux passes from a thread to one that waits, and so makes the threads that send
/// and the event loops wait for each other's turns on the processors when there are more of them.
final class SequencerLock: Sendable {
    private let sequencer: NIOLockedValueBox<Sequencer>
    /// ``Sequencer/interests`` as of the last change.
    private let lastInterests = Atomic<UInt8>(0)

    init(_ sequencer: Sequencer) { self.sequencer = NIOLockedValueBox(sequencer) }

    func withLock<R: Sendable>(_ body: (inout Sequencer) -> R) -> R {
        sequencer.withLockedValue { sequencer in
            defer { lastInterests.store(sequencer.interests.rawValue, ordering: .releasing) }
            return body(&sequencer)
        }
    }

    /// The channels with a possible receiver, without the lock: every query asks several times.
    var interests: Channels { Channels(rawValue: lastInterests.load(ordering: .acquiring)) }
}
