import Broadcast
import LiveQueries
import Synchronization
import WireProtocol

/// Passes the events of the live-query engine to the clients. Thread-safe.
///
/// A new client receives its snapshot at its own pace, message by message, and joins the query's topic when it has all
/// of it; from then on it receives the same bytes as all others.
final class LiveFeed: LiveQuerySink {
    /// The receiver of a query's events.
    enum Receiver: Sendable {
        /// - Parameter replyTo: the id of the request.
        case client(ClientID, replyTo: String?)
        /// In this process: called on the engine's thread.
        case handler(@Sendable (LiveQueryEvent) -> Void)
    }

    /// The messages that a client receives one after the other.
    private enum Item {
        case message(EncodedMessage)
        case rows(LiveRows, LiveMessages, next: Int, LivePosition, isReset: Bool)
        case join
    }

    private struct Subscriber {
        var receiver: Receiver
        var query: LiveQueryID?
        /// The messages that remain to be sent to it individually; empty for one that has joined the topic.
        var items: [Item] = []
        var isSending = false
        var hasJoined = false
        /// Called once, with the outcome of the request.
        var whenStarted: (@Sendable (ProtocolError?) -> Void)?
        /// Whether the connection is closed at the end of the query.
        var closesAtEnd = false

        /// The engine sends it changes, and it has not joined the topic yet.
        var waitsToJoin: Bool { !hasJoined && items.contains { if case .join = $0 { true } else { false } } }

        var client: ClientID? {
            if case .client(let client, _) = receiver { client } else { nil }
        }
    }

    private struct State {
        var subscribers: [LiveSubscriberID: Subscriber] = [:]
        var messages: [LiveQueryID: LiveMessages] = [:]
        /// As of when the rows of a query are that were sent last, or are about to be.
        var positions: [LiveQueryID: LivePosition] = [:]
        var byQuery: [LiveQueryID: Set<LiveSubscriberID>] = [:]
        var byClient: [ClientID: Set<LiveSubscriberID>] = [:]
        /// The engine's last report on the progress of the queries.
        var reached: (position: LivePosition, lagging: Set<LiveQueryID>)?
        /// Who gets the event that is being taken in, once the state is unlocked: a handler can end its own subscription.
        var handlers: [@Sendable (LiveQueryEvent) -> Void] = []

        /// Something of a query is sent as of a position; to a client that comes back, also of earlier ones.
        mutating func note(_ query: LiveQueryID, _ position: LivePosition) {
            if let known = positions[query], known.epoch == position.epoch, known.sequence >= position.sequence {
                return
            }
            positions[query] = position
        }
    }

    /// The clients all of whose queries are live.
    private static let reachedTopic = Topic(0)

    private let hub: Hub
    private let engine = Mutex<LiveQueryEngine?>(nil)
    private let state = Mutex(State())

    init(hub: Hub) { self.hub = hub }

    func connect(_ engine: LiveQueryEngine) { self.engine.withLock { $0 = engine } }

    // MARK: Requests

    /// - Parameters:
    ///   - closesAtEnd: whether the client's connection ends with the query.
    ///   - whenStarted: called once, on the engine's thread, with the outcome of the request. Without it the client
    ///     receives `error`.
    func subscribe(
        _ request: LiveQueries.LiveQueryRequest,
        _ receiver: Receiver,
        owner: UInt64,
        closesAtEnd: Bool = false,
        whenStarted: (@Sendable (ProtocolError?) -> Void)? = nil
    ) throws(ProtocolError) -> LiveSubscriberID {
        guard let engine = engine.withLock({ $0 }) else {
            throw ProtocolError(.databaseGone, "the database is not watched")
        }
        return state.withLock { state in
            // Under the lock, so that no event arrives before its receiver is known.
            let id = engine.subscribe(request, client: owner)
            var subscriber = Subscriber(receiver: receiver)
            subscriber.closesAtEnd = closesAtEnd
            subscriber.whenStarted = whenStarted
            state.subscribers[id] = subscriber
            if let client = subscriber.client { state.byClient[client, default: []].insert(id) }
            return id
        }
    }

    /// Ends one of a client's subscriptions; the client receives `query:unsubscribed`.
    func unsubscribe(_ subscription: String, of client: ClientID, replyTo: String?) throws(ProtocolError) {
        let found = state.withLock { state -> (LiveSubscriberID, LiveQueryID)? in
            for id in state.byClient[client] ?? [] {
                guard let query = state.subscribers[id]?.query, query.description == subscription else { continue }
                remove(id, &state)
                hub.send(LiveMessages.unsubscribed(query, nil, replyTo: replyTo), to: client)
                return (id, query)
            }
            return nil
        }
        guard let (id, _) = found else {
            throw ProtocolError(
                .subscriptionNotFound,
                "data.subscription: this connection has no live query \(quoted(subscription))"
            )
        }
        engine.withLock { $0 }?.unsubscribe(id)
    }

    /// Ends a subscription of this process.
    func unsubscribe(_ id: LiveSubscriberID) {
        state.withLock { remove(id, &$0) }
        engine.withLock { $0 }?.unsubscribe(id)
    }

    /// The client has disconnected.
    func left(_ client: ClientID) {
        let ids = state.withLock { state in
            let ids = state.byClient[client] ?? []
            for id in ids { remove(id, &state) }
            return ids
        }
        let engine = engine.withLock { $0 }
        for id in ids { engine?.unsubscribe(id) }
    }

    /// The number of live queries of a client.
    func queryCount(of client: ClientID) -> Int { state.withLock { $0.byClient[client]?.count ?? 0 } }

    /// The number of clients with live queries.
    var clientCount: Int { state.withLock { $0.byClient.count } }

    private func remove(_ id: LiveSubscriberID, _ state: inout State) {
        guard let subscriber = state.subscribers.removeValue(forKey: id) else { return }
        if let query = subscriber.query {
            state.byQuery[query]?.remove(id)
            if state.byQuery[query]?.isEmpty == true {
                state.byQuery[query] = nil
                state.messages[query] = nil
                state.positions[query] = nil
            }
        }
        guard let client = subscriber.client else { return }
        state.byClient[client]?.remove(id)
        if let query = subscriber.query, subscriber.hasJoined { hub.leave(client, query.topic) }
        if state.byClient[client]?.isEmpty == true {
            state.byClient[client] = nil
            hub.leave(client, Self.reachedTopic)
        } else {
            noteReach(client, state)
        }
    }

    // MARK: From the engine's thread

    func receive(_ event: LiveQueryEvent) {
        var ended: [LiveSubscriberID] = []
        let handlers = state.withLock { state in
            take(event, &state, &ended)
            defer { state.handlers = [] }
            return state.handlers
        }
        for handler in handlers { handler(event) }
        let engine = engine.withLock { $0 }
        for id in ended { engine?.unsubscribe(id) }
    }

    private func take(_ event: LiveQueryEvent, _ state: inout State, _ ended: inout [LiveSubscriberID]) {
        switch event {
        case .started(let id, let description, let position, let recovered):
            started(id, description, position, recovered, &state, &ended)
        case .snapshot(let id, let description, let rows, let position):
            if isHandled(id, &state) { return }
            let messages = messages(description, &state)
            state.note(description.id, position)
            add([.rows(rows, messages, next: 0, position, isReset: false)], id, &state)
        case .missed(let id, let query, let delta):
            if isHandled(id, &state) { return }
            guard state.byQuery[query]?.contains(id) == true else { return }
            let messages = messages(delta.description, &state)
            state.note(query, delta.position)
            add(messages.changed(delta).map(Item.message), id, &state)
        case .joined(let id, _):
            if isHandled(id, &state) { return }
            add([.join], id, &state)
        case .changed(let query, let delta):
            changed(query, delta, &state)
        case .reset(let description, let rows, let position):
            reset(description, rows, position, &state)
        case .refused(let id, let refusal):
            refused(id, refusal, &state)
        case .ended(let query, let ids, let refusal):
            self.ended(query, ids, refusal, &state)
        case .reached(let position, let lagging):
            state.reached = (position, lagging)
            reached(position, lagging, &state)
        }
    }

    private func isHandled(_ id: LiveSubscriberID, _ state: inout State) -> Bool {
        guard case .handler(let handler)? = state.subscribers[id]?.receiver else { return false }
        state.handlers.append(handler)
        return true
    }

    /// Writes messages about a query as it was when the event was made.
    private func messages(_ description: LiveQueryDescription, _ state: inout State) -> LiveMessages {
        if let known = state.messages[description.id], known.description == description { return known }
        let made = LiveMessages(description)
        state.messages[description.id] = made
        return made
    }

    private func started(
        _ id: LiveSubscriberID,
        _ description: LiveQueryDescription,
        _ position: LivePosition,
        _ recovered: Bool?,
        _ state: inout State,
        _ ended: inout [LiveSubscriberID]
    ) {
        guard let subscriber = state.subscribers[id] else { return }
        subscriber.whenStarted?(nil)
        state.subscribers[id]?.whenStarted = nil
        let messages = messages(description, &state)
        // An equal subscription of the same connection begins again.
        if let client = subscriber.client {
            for other in state.byClient[client] ?? []
            where other != id && state.subscribers[other]?.query == description.id {
                remove(other, &state)
                ended.append(other)
            }
        }
        state.messages[description.id] = messages
        state.subscribers[id]?.query = description.id
        state.note(description.id, position)
        state.byQuery[description.id, default: []].insert(id)
        if isHandled(id, &state) { return }
        guard case .client(let client, let replyTo) = subscriber.receiver else { return }
        hub.leave(client, Self.reachedTopic)
        add([.message(messages.subscribed(at: position, recovered: recovered, replyTo: replyTo))], id, &state)
    }

    private func changed(_ query: LiveQueryID, _ delta: LiveDelta, _ state: inout State) {
        guard let ids = state.byQuery[query] else { return }
        let messages = messages(delta.description, &state)
        state.note(query, delta.position)
        var hasJoined = false
        for id in ids {
            guard let subscriber = state.subscribers[id] else { continue }
            if case .handler(let handler) = subscriber.receiver {
                state.handlers.append(handler)
            } else if subscriber.hasJoined {
                hasJoined = true
            } else if subscriber.waitsToJoin {
                add(messages.changed(delta).map(Item.message), id, &state)
            }
        }
        if hasJoined { for message in messages.changed(delta) { hub.send(message, to: query.topic) } }
    }

    private func reset(
        _ description: LiveQueryDescription,
        _ rows: LiveRows,
        _ position: LivePosition,
        _ state: inout State
    ) {
        let messages = messages(description, &state)
        for id in state.byQuery[description.id] ?? [] {
            guard let subscriber = state.subscribers[id] else { continue }
            if case .handler(let handler) = subscriber.receiver {
                state.handlers.append(handler)
                continue
            }
            guard let client = subscriber.client, subscriber.hasJoined || subscriber.waitsToJoin else { continue }
            if subscriber.hasJoined {
                hub.leave(client, description.id.topic)
                hub.leave(client, Self.reachedTopic)
            }
            // Of the waiting messages, the acknowledgement is still valid.
            let acknowledgement = subscriber.items.first.flatMap { item in
                if case .message(let message) = item, message.type == .querySubscribed { item } else { nil }
            }
            state.subscribers[id]?.hasJoined = false
            state.note(description.id, position)
            state.subscribers[id]?.items = []
            let items: [Item] = [.rows(rows, messages, next: 0, position, isReset: true), .join]
            add((acknowledgement.map { [$0] } ?? []) + items, id, &state)
        }
    }

    private func refused(_ id: LiveSubscriberID, _ refusal: LiveRefusal, _ state: inout State) {
        guard let subscriber = state.subscribers[id] else { return }
        let error = ProtocolError(refusal)
        if let whenStarted = subscriber.whenStarted {
            whenStarted(error)
        } else if case .client(let client, let replyTo) = subscriber.receiver {
            let header = EnvelopeHeader(.error, channel: .notifications, replyTo: replyTo)
            let details = refusal.offset.map { ["sqlOffset": JSONValue.integer(Int64($0))] }
            let payload = ErrorPayload(message: error.message, code: error.code, details: details.map { .object($0) })
            hub.send(EncodedMessage(header, payload), to: client)
        }
        _ = isHandled(id, &state)
        remove(id, &state)
    }

    private func ended(
        _ query: LiveQueryID,
        _ ids: [LiveSubscriberID],
        _ refusal: LiveRefusal,
        _ state: inout State
    ) {
        let message = LiveMessages.unsubscribed(query, refusal)
        for id in ids {
            guard let subscriber = state.subscribers[id] else { continue }
            if case .handler(let handler) = subscriber.receiver { state.handlers.append(handler) }
            remove(id, &state)
            guard let client = subscriber.client else { continue }
            hub.send(message, to: client)
            if subscriber.closesAtEnd { hub.close(client, .goingAway, reason: refusal.reason) }
        }
    }

    /// Notifies the clients all of whose queries have reached a position.
    private func reached(
        _ position: LivePosition,
        _ lagging: Set<LiveQueryID>,
        _ state: inout State
    ) {
        for subscriber in state.subscribers.values {
            if case .handler(let handler) = subscriber.receiver { state.handlers.append(handler) }
        }
        let message = LiveMessages.reached(position)
        guard !lagging.isEmpty else {
            hub.send(message, to: Self.reachedTopic)
            return
        }
        for (client, ids) in state.byClient {
            let isExact = ids.allSatisfy { id in
                guard let subscriber = state.subscribers[id], let query = subscriber.query else { return false }
                return subscriber.hasJoined && !lagging.contains(query)
            }
            if isExact { hub.send(message, to: client) }
        }
    }

    // MARK: Pace of the client

    private func add(_ items: [Item], _ id: LiveSubscriberID, _ state: inout State) {
        guard state.subscribers[id] != nil else { return }
        state.subscribers[id]?.items += items
        pump(id, &state)
    }

    /// Sends the next message, unless one is being sent.
    private func pump(_ id: LiveSubscriberID, _ state: inout State) {
        while let subscriber = state.subscribers[id], !subscriber.isSending, let item = subscriber.items.first,
            let client = subscriber.client
        {
            let message: EncodedMessage
            switch item {
            case .join:
                state.subscribers[id]?.items.removeFirst()
                // Deltas that arrived while the snapshot was being sent come first.
                guard subscriber.items.count == 1 else {
                    state.subscribers[id]?.items.append(.join)
                    continue
                }
                state.subscribers[id]?.hasJoined = true
                if let query = subscriber.query { hub.join(client, query.topic) }
                noteReach(client, state)
                continue
            case .message(let made):
                state.subscribers[id]?.items.removeFirst()
                message = made
            case .rows(let rows, let messages, let start, let position, let isReset):
                let (made, next) = messages.snapshot(rows, from: start, at: position, isReset: isReset)
                if next < rows.rows.count {
                    state.subscribers[id]?.items[0] = .rows(rows, messages, next: next, position, isReset: isReset)
                } else {
                    state.subscribers[id]?.items.removeFirst()
                }
                message = made
            }
            state.subscribers[id]?.isSending = true
            hub.send(message, to: client) { [weak self] isTaken in self?.taken(id, isTaken) }
        }
    }

    private func taken(_ id: LiveSubscriberID, _ isTaken: Bool) {
        guard isTaken else { return unsubscribe(id) }
        state.withLock { state in
            state.subscribers[id]?.isSending = false
            pump(id, &state)
        }
    }

    /// Clients all of whose queries are live receive `query:reached` with the others.
    private func noteReach(_ client: ClientID, _ state: State) {
        let ids = state.byClient[client] ?? []
        guard !ids.isEmpty, ids.allSatisfy({ state.subscribers[$0]?.hasJoined == true }) else { return }
        hub.join(client, Self.reachedTopic)
        // The last position reported while its rows were being sent: everything up to it is earlier in the client's
        // queue.
        guard let reached = state.reached else { return }
        let queries = ids.compactMap { state.subscribers[$0]?.query }
        // A change can have been sent since; then the engine says next how far it is.
        let isExact = queries.allSatisfy { query in
            guard let rows = state.positions[query], rows.epoch == reached.position.epoch else { return false }
            return rows.sequence <= reached.position.sequence
        }
        if isExact, reached.lagging.isDisjoint(with: queries) {
            hub.send(LiveMessages.reached(reached.position), to: client)
        }
    }
}

extension LiveQueryID {
    var topic: Topic { Topic(number) }
}
