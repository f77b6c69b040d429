import Broadcast
import NIOCore
import Synchronization
import TablecastClient
import WireProtocol

/// The requests of one client, over one connection to the source. Thread-safe.
final class ForwardedClient: Sendable {
    struct Snapshot: Sendable {
        let hold: Hub.SnapshotHold
        let replyTo: String?
    }

    /// Requests that wait for the connection.
    static let maxWaitingRequests = 256

    private struct State {
        var task: Task<Void, Never>?
        var hasEnded = false
        /// Requests without an answer, and running queries, by the `id` of the request.
        var requests: Set<String> = []
        /// Snapshots by the `id` of the request, then by the id of the subscription.
        var requested: [String: Snapshot] = [:]
        var snapshots: [String: Snapshot] = [:]
        /// Live queries by the id of the subscription.
        var live: Set<String> = []
        var requestCount = 0
    }

    private let client: ClientID
    private let hub: Hub
    private let requests: RequestQueue
    private let state = Mutex(State())

    init(_ client: ClientID, username: String, hub: Hub, source: TablecastClient) {
        self.client = client
        self.hub = hub
        requests = RequestQueue(maxWaiting: Self.maxWaitingRequests)
        var source = source
        // The name in a token prevails.
        source.username = username
        let connecting = source
        let task = Task { [self] in
            let failure = await run(connecting)
            fail(failure)
        }
        state.withLock { $0.task = task }
    }

    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    func end() {
        requests.finish()
        state.withLock { $0.task }?.cancel()
    }

    /// - Throws: when too many requests wait, or the connection has just ended.
    func send(_ message: ClientMessage, snapshot: Snapshot?) throws(ProtocolError) {
        var message = message
        let isOpen = state.withLock { state in
            if state.hasEnded { return false }
            if message.id == nil {
                state.requestCount += 1
                // The client expects no `replyTo`, and ignores it.
                message.id = "relay-\(state.requestCount)"
            }
            guard let id = message.id else { return true }
            if let snapshot { state.requested[id] = snapshot } else if message.hasAnswer { state.requests.insert(id) }
            return true
        }
        guard isOpen else { throw Self.lost }
        guard requests.append(message) else {
            let id = message.id ?? ""
            state.withLock { state in
                state.requests.remove(id)
                state.requested[id] = nil
            }
            throw ProtocolError(.rateLimited, "more than \(Self.maxWaitingRequests) requests wait for the source")
        }
    }

    private static let lost = ProtocolError(
        .databaseGone,
        "the connection of this relay to its source was lost; try again"
    )

    // MARK: The connection

    private func run(_ source: TablecastClient) async -> ProtocolError {
        let connection: ClientConnection
        do throws(TablecastClientError) {
            connection = try await source.connect()
        } catch {
            return ProtocolError(
                error.httpStatus == 401 || error.httpStatus == 403 ? .forbidden : .databaseGone,
                "the source refused this request: \(error)"
            )
        }
        let sending = Task { await requests.send(over: connection) }
        defer { sending.cancel() }
        do throws(TablecastClientError) {
            var messages = connection.messages.makeAsyncIterator()
            while let message = try await messages.next() {
                guard await receive(message, connection) else { break }
            }
        } catch {
            return ProtocolError(.internal, "the source sent an answer that this relay cannot read: \(error)")
        }
        await connection.close()
        return Self.lost
    }

    /// False when the client has disconnected.
    private func receive(_ message: ReceivedMessage, _ connection: ClientConnection) async -> Bool {
        let header = message.envelope.header
        switch message.envelope.payload {
        case .subscribed(let subscribed) where subscribed.channel == .tables:
            return await begin(subscribed, message)
        case .tableSnapshot:
            guard let id = message.envelope.subscription, let snapshot = state.withLock({ $0.snapshots[id] }) else {
                return true
            }
            _ = await send(message, under: snapshot, isAcknowledgement: false)
            return true
        case .snapshotEnd(let end):
            if let id = end.subscription { await finish(id, message, connection) }
            return true
        case .error(let error):
            guard let id = header.replyTo, let snapshot = state.withLock({ $0.requested.removeValue(forKey: id) })
            else {
                break
            }
            fail(snapshot, ProtocolError(error.code, error.message))
            return true
        default: break
        }
        guard note(message) else { return true }
        return await withCheckedContinuation { continuation in
            hub.send(message.encoded, to: client) { continuation.resume(returning: $0) }
        }
    }

    /// Whether the message answers a request of the client.
    private func note(_ message: ReceivedMessage) -> Bool {
        let header = message.envelope.header
        return state.withLock { state in
            switch message.envelope.payload {
            case .error, .queryComplete, .queryError, .queryCancelled, .rowWritten:
                if let id = header.replyTo { state.requests.remove(id) }
                return true
            case .querySubscribed(let subscribed):
                if let id = header.replyTo { state.requests.remove(id) }
                state.live.insert(subscribed.subscription)
                return true
            case .queryUnsubscribed(let unsubscribed):
                if let id = header.replyTo { state.requests.remove(id) }
                state.live.remove(unsubscribed.subscription)
                return true
            case .queryStarted, .queryProgress, .queryRows, .querySnapshot, .queryChanged, .queryReached:
                return true
            default:
                return false
            }
        }
    }

    // MARK: Snapshots

    private func begin(_ subscribed: SubscribedPayload, _ message: ReceivedMessage) async -> Bool {
        guard let id = message.envelope.header.replyTo,
            let snapshot = state.withLock({ $0.requested.removeValue(forKey: id) })
        else { return true }
        guard subscribed.subscription == snapshot.hold.subscription.id else {
            fail(snapshot, ProtocolError(.internal, "the source understood the filter differently"))
            return true
        }
        state.withLock { $0.snapshots[snapshot.hold.subscription.id] = snapshot }
        _ = await send(message, under: snapshot, isAcknowledgement: true)
        return true
    }

    private func finish(_ id: String, _ message: ReceivedMessage, _ connection: ClientConnection) async {
        // From here on the relay has the transactions itself. When the connection has ended, so has the subscription.
        try? await connection.send(ClientMessage(.unsubscribe(.tables, subscription: id)))
        guard let snapshot = state.withLock({ $0.snapshots.removeValue(forKey: id) }) else { return }
        guard let position = message.envelope.header.position, hub.knows(position) else {
            return fail(snapshot, ProtocolError(.databaseGone, "a new epoch began; try again"))
        }
        hub.release(snapshot.hold, message.encoded, after: hub.resolve(position))
    }

    private func send(_ message: ReceivedMessage, under snapshot: Snapshot, isAcknowledgement: Bool) async -> Bool {
        await withCheckedContinuation { continuation in
            hub.send(message.encoded, under: snapshot.hold, isAcknowledgement: isAcknowledgement) {
                continuation.resume(returning: $0)
            }
        }
    }

    // MARK: Failures

    private func fail(_ snapshot: Snapshot, _ error: ProtocolError) {
        send(error, replyTo: snapshot.replyTo)
        hub.abandon(snapshot.hold, replyTo: snapshot.replyTo)
    }

    /// The connection has ended: everything without an end gets one.
    private func fail(_ error: ProtocolError) {
        requests.finish()
        let left = state.withLock { state in
            state.hasEnded = true
            defer {
                state.requests = []
                state.requested = [:]
                state.snapshots = [:]
                state.live = []
            }
            return (state.requests, Array(state.requested.values) + state.snapshots.values, state.live)
        }
        for id in left.0.sorted() { send(error, replyTo: id) }
        for snapshot in left.1 { fail(snapshot, error) }
        for id in left.2.sorted() {
            let payload = QueryUnsubscribedPayload(subscription: id, reason: error.message, code: error.code)
            hub.send(EncodedMessage(EnvelopeHeader(.queryUnsubscribed, channel: .queries), payload), to: client)
        }
    }

    private func send(_ error: ProtocolError, replyTo: String?) {
        hub.send(.error(error, replyTo: replyTo), to: client)
    }
}

extension ClientMessage {
    /// A cancellation that succeeds has none.
    fileprivate var hasAnswer: Bool {
        if case .cancelQuery = body { false } else { true }
    }
}

extension ReceivedMessage {
    fileprivate var encoded: EncodedMessage {
        EncodedMessage(json: ByteBuffer(string: json), type: envelope.header.type)
    }
}

extension Envelope {
    /// The subscription of a part of a snapshot.
    fileprivate var subscription: String? {
        if case .tableSnapshot(let part) = payload { part.subscription } else { nil }
    }
}
