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
        /// Requests without an answer, by their `id`; those that can be part of a transaction are in ``transaction``.
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
    private let transaction: ClientTransaction
    /// Locked before ``transaction``: a request becomes part of a connection, and a connection ends, in one step.
    private let state = Mutex(State())
    /// Of the source.
    let address: String

    init(
        _ client: ClientID,
        username: String,
        hub: Hub,
        source: TablecastClient,
        transaction: ClientTransaction
    ) {
        self.client = client
        self.hub = hub
        self.transaction = transaction
        address = source.address
        requests = RequestQueue(maxWaiting: Self.maxWaitingRequests)
        var source = source
        // The name in a token prevails.
        source.username = username
        let connecting = source
        let task = Task { [self] in
            let (failure, wasOpen) = await run(connecting)
            fail(failure, wasOpen: wasOpen)
        }
        state.withLock { $0.task = task }
    }

    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    func end() {
        requests.finish()
        state.withLock { $0.task }?.cancel()
    }

    /// Ends the connection unless the client would lose something with it; false when it would.
    func retire() -> Bool {
        let isUnused = state.withLock { state in
            guard state.requests.isEmpty, state.requested.isEmpty, state.snapshots.isEmpty, state.live.isEmpty,
                transaction.state.withLock({ $0.leaveConnection() })
            else { return false }
            state.hasEnded = true
            return true
        }
        if isUnused { end() }
        return isUnused
    }

    private enum Admission {
        case admitted(ClientMessage)
        case refused(EncodedMessage)
        case ended
    }

    /// - Parameter request: the same, when it can be part of a transaction.
    /// - Throws: when too many requests wait, or the connection has just ended.
    func send(
        _ message: ClientMessage,
        _ request: ForwardedRequest? = nil,
        snapshot: Snapshot? = nil
    ) throws(ProtocolError) {
        switch admit(message, request, snapshot) {
        case .ended: throw Self.lost
        case .refused(let answer): hub.send(answer, to: client)
        case .admitted(let message):
            guard !requests.append(message) else { return }
            let id = message.id ?? ""
            // When the connection has ended meanwhile, the request has its answer.
            let isOpen = state.withLock { state in
                state.requested[id] = nil
                state.requests.remove(id)
                return !state.hasEnded
            }
            guard isOpen else { return }
            throw ProtocolError(
                .rateLimited,
                "more than \(Self.maxWaitingRequests) requests wait for the source",
                requestID: message.id
            )
        }
    }

    private func admit(_ message: ClientMessage, _ request: ForwardedRequest?, _ snapshot: Snapshot?) -> Admission {
        var message = message
        return state.withLock { state in
            if state.hasEnded { return .ended }
            if message.id == nil {
                state.requestCount += 1
                // The client expects no `replyTo`, and ignores it.
                message.id = "relay-\(state.requestCount)"
            }
            guard let id = message.id else { return .admitted(message) }
            if var request {
                request.id = id
                if let refusal = transaction.state.withLock({ $0.admit(request) }) {
                    return .refused(request.failed(refusal, inTransaction: nil))
                }
            } else if let snapshot {
                state.requested[id] = snapshot
            } else if message.hasAnswer {
                state.requests.insert(id)
            }
            return .admitted(message)
        }
    }

    private static let lost = ProtocolError(.databaseGone, "the connection of this relay to its source was lost")

    // MARK: The connection

    /// Its end, and whether it was open before.
    private func run(_ source: TablecastClient) async -> (ProtocolError, wasOpen: Bool) {
        let connection: ClientConnection
        do throws(TablecastClientError) {
            connection = try await source.connect()
        } catch {
            let code: ErrorCode = error.httpStatus == 401 || error.httpStatus == 403 ? .forbidden : .databaseGone
            return (ProtocolError(code, "the source refused this request: \(error)"), false)
        }
        let sending = Task { await requests.send(over: connection) }
        defer { sending.cancel() }
        do throws(TablecastClientError) {
            var messages = connection.messages.makeAsyncIterator()
            while let message = try await messages.next() {
                guard await receive(message, connection) else { break }
            }
        } catch {
            return (ProtocolError(.internal, "the source sent an answer that this relay cannot read: \(error)"), true)
        }
        await connection.close()
        return (Self.lost, true)
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
        let (header, payload) = (message.envelope.header, message.envelope.payload)
        return state.withLock { state in
            if let id = header.replyTo {
                if let answer = ForwardedTransaction.Answer(payload) {
                    transaction.state.withLock { $0.answered(id, answer) }
                }
            } else if case .error(let error) = payload {
                transaction.state.withLock { $0.ended(ProtocolError(error.code, error.message)) }
            }
            switch payload {
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
    private func fail(_ error: ProtocolError, wasOpen: Bool) {
        let left = state.withLock { state -> (State, ForwardedTransaction.Loss)? in
            // After ``retire()`` the transaction is that of another connection.
            if state.hasEnded { return nil }
            defer {
                state.requests = []
                state.requested = [:]
                state.snapshots = [:]
                state.live = []
            }
            state.hasEnded = true
            return (state, transaction.state.withLock { $0.connectionLost(error, wasOpen: wasOpen) })
        }
        requests.finish()
        guard let (left, loss) = left else { return }
        for failure in loss.failures {
            if failure.wasInTransaction {
                hub.send(failure.request.failed(failure.error, inTransaction: false), to: client)
            } else {
                send(failure.error, replyTo: failure.request.id)
            }
        }
        if let notice = loss.notice { send(notice, replyTo: nil) }
        for id in left.requests.sorted() { send(error, replyTo: id) }
        for snapshot in Array(left.requested.values) + left.snapshots.values { fail(snapshot, error) }
        for id in left.live.sorted() {
            let payload = QueryUnsubscribedPayload(subscription: id, reason: error.message, code: error.code)
            hub.send(EncodedMessage(EnvelopeHeader(.queryUnsubscribed, channel: .queries), payload), to: client)
        }
    }

    private func send(_ error: ProtocolError, replyTo: String?) {
        hub.send(.error(error, replyTo: replyTo), to: client)
    }
}

/// The transaction of one client, whichever connection carries it. Thread-safe.
final class ClientTransaction: Sendable {
    let state = Mutex(ForwardedTransaction())
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
