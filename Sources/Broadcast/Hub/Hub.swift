package import NIOCore
import Synchronization
package import WireProtocol

/// Who gets which bytes, in what order, bounded.
///
/// Every call but those that say otherwise may come from any thread, returns at once, and takes its place in one order:
/// what is published after a call to ``subscribe(_:to:replyTo:then:)`` returned reaches the subscriber after its
/// acknowledgement, what was published before does not, except in a replay. Each client gets everything in this order.
///
/// Each event loop has a shard of the clients. Publishing appends to each shard's queue under one lock and schedules one
/// drain where none is scheduled; a drain joins what is pending once for all clients that hear the same and writes once
/// to each connection. So an idle hub delivers in the next turn of the event loop, and a busy one in batches, which grow
/// with the number of clients: see ``Gathering``.
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

    /// Takes a connection in. On the outlet's event loop.
    ///
    /// - Parameters:
    ///   - outlet: Held until ``disconnect(_:)``, or until the hub closes it.
    ///   - channels: What it hears from the start, without an acknowledgement; tables is not among them.
    ///   - restriction: What limits its view; nil for nothing.
    ///   - greeting: Makes the first messages it gets, before anything else.
    package func connect(
        _ outlet: any Outlet,
        channels: Channels = .notifications,
        restriction: Restriction? = nil,
        greeting: (ClientID) -> [EncodedMessage] = { _ in [] }
    ) -> ClientID {
        let shard = shard(on: outlet.eventLoop).value
        let id = sequencer.withLock { sequencer in
            let id = ClientID(shard: shard.index, number: sequencer.nextNumber())
            sequencer.clientCameOrWent(id, by: 1)
            return id
        }
        shard.add(Client(id, outlet, restriction))
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

    /// Closes a connection after everything that was sent to it before. Its outlet need not call ``disconnect(_:)``.
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
        to channel: WireProtocol.Channel,
        except excluded: ClientID? = nil,
        restricted: RestrictedMessage? = nil
    ) {
        appendToAll(.message(message, to: .channel(channel, except: excluded, restricted: restricted)))
    }

    /// Whether a message to the channel may have a receiver: spares making one that has not.
    package func hasListeners(_ channel: WireProtocol.Channel) -> Bool {
        sequencer.withLock { $0.hasListeners(channel) }
    }

    /// To everybody but one, whatever they subscribed to.
    package func sendToEveryone(_ message: EncodedMessage, except excluded: ClientID? = nil) {
        appendToAll(.message(message, to: .everyone(except: excluded)))
    }

    /// To one client.
    ///
    /// Whoever sends much keeps no more than a few calls without `whenTaken` answered: that is what bounds the memory.
    ///
    /// - Parameter whenTaken: Called on the client's event loop, once: with true when at most
    ///   ``HubLimits/resumeQueuedBytes`` wait for it, with false when it is gone.
    package func send(_ message: EncodedMessage, to client: ClientID, whenTaken: WhenTaken? = nil) {
        append(.direct(message, to: client, under: nil, whenTaken: whenTaken), for: client)
    }

    /// To a client whose subscription waits for its snapshot, and only while it does: what comes after the answer to an
    /// `unsubscribe`, or to a `subscribe` that replaces it, would be taken for part of the next.
    ///
    /// - Parameter whenTaken: As with ``send(_:to:whenTaken:)``; with false also when the hold is over, and the message was
    ///   not written.
    package func send(_ message: EncodedMessage, under hold: Hold, whenTaken: @escaping WhenTaken) {
        let item = QueueItem.direct(message, to: hold.client, under: hold.pin, whenTaken: whenTaken)
        append(item, for: hold.client)
    }

    // MARK: Subscriptions

    /// Subscribes a client, or replaces its subscription to the channel without gap or repetition.
    ///
    /// The client gets `subscribed` and `then`; for tables what it asked to have replayed; then what comes. The position in
    /// `subscribed` is that after which everything follows. Without `since` that is the newest, or, when an earlier
    /// subscription is still being replayed, as far as it has come. `wantsSnapshot` is not looked at: see
    /// ``hold(_:_:)``.
    package func subscribe(
        _ client: ClientID,
        to request: SubscribeRequest,
        replyTo: String? = nil,
        then: [EncodedMessage] = []
    ) throws(ProtocolError) {
        guard request.channel == .tables else {
            append(.change(.subscribe(request.channel, replyTo: replyTo, then: then), of: client), for: client)
            return
        }
        let now = clock()
        let result = sequencer.withLock { sequencer in
            Result { () throws(ProtocolError) in
                // It may be long ago that something was published, which is when old transactions are dropped.
                sequencer.trimHistory(now: now)
                let since = request.since
                return try sequencer.subscribe(client, request.filter, since: since, replyTo: replyTo, then: then)
            }
        }
        wake(try result.get())
    }

    package func unsubscribe(_ client: ClientID, from channel: WireProtocol.Channel, replyTo: String? = nil) {
        append(.change(.unsubscribe(channel, replyTo: replyTo), of: client), for: client)
    }

    /// Subscribes a client to tables, and holds everything back until ``release(_:after:)``: what a snapshot needs.
    ///
    /// Hold first, then begin the read transaction of the snapshot, then send
    /// ``EncodedMessage/subscribed(_:replyTo:)`` and the rows with their position under the hold, then release. Nothing is
    /// buffered for the client meanwhile: the history keeps what it will need, up to ``HistoryLimits/maxPinnedBytes``.
    package func hold(_ client: ClientID, _ filter: TableFilter) throws(ProtocolError) -> Hold {
        let result = sequencer.withLock { sequencer in
            Result { () throws(ProtocolError) in try sequencer.hold(client, filter) }
        }
        let (pin, woken) = try result.get()
        wake(woken)
        return Hold(client: client, pin: pin)
    }

    /// Lets follow what was committed after the snapshot's position, which may not have been published yet. Does nothing
    /// when the hold is over.
    package func release(_ hold: Hold, after position: Position) {
        append(.change(.release(hold.pin, after: position), of: hold.client), for: hold.client)
    }

    /// Ends the subscription of a snapshot that failed. Does nothing when the hold is over: what the client has subscribed
    /// to since stays.
    package func abandon(_ hold: Hold, replyTo: String? = nil) {
        append(.change(.abandon(hold.pin, replyTo: replyTo), of: hold.client), for: hold.client)
    }

    /// Whether a snapshot still has a reader: not when the client is gone, subscribed anew or unsubscribed, and not after
    /// ``reset(to:)``, which has told the client to begin again.
    package func isHeld(_ hold: Hold) -> Bool {
        sequencer.withLock { $0.history.isPinned(hold.pin) }
    }

    /// A subscription that waits for its snapshot.
    package struct Hold: Sendable, Hashable {
        package let client: ClientID
        let pin: History.Pin
    }

    // MARK: Transactions

    /// Publishes a committed transaction, and keeps it for clients that resume.
    ///
    /// Calls must come in the order of positions, one at a time: whoever numbers transactions publishes them under the
    /// same lock or on the same thread. The messages for every live filter are made before the hub's lock is taken.
    ///
    /// Precondition: the position comes after ``position``, in the same epoch.
    package func publish(_ publication: any Publication) {
        let delivery = Delivery(publication)
        for filter in sequencer.withLock({ $0.filters.filters }) { _ = delivery.messages(for: filter) }
        let now = clock()
        wake(sequencer.withLock { $0.publish(delivery, now: now) })
    }

    /// Begins a new epoch: nothing of the old can be resumed, and every subscriber of tables is told so by `subscribed`
    /// with `recovered: false` and the new position.
    package func reset(to start: Position) {
        let payload = SubscribedPayload(channel: .tables, position: start, recovered: false)
        let notice = EncodedMessage.subscribed(payload, replyTo: nil)
        wake(sequencer.withLock { $0.reset(to: start, notice: notice) })
    }

    /// The last transaction that was published.
    package var position: Position { sequencer.withLock { $0.history.head } }

    /// The distinct filters that anybody has now.
    package var filters: [TableFilter] { sequencer.withLock { $0.filters.filters } }

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
