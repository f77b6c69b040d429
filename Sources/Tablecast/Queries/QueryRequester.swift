import Broadcast
import NIOCore
import QueryEngine
import Synchronization
import WebSocketTransport
package import WireProtocol

/// The requester of queries: a WebSocket client, or one HTTP request.
package struct QueryRequester: Sendable {
    let key: ClientKey
    let userID: String
    let username: String?
    /// The client on the WebSocket, which receives the messages of its queries directly.
    let client: ClientID?
    let identity: Identity
    /// The share of the queue that its queries use: see ``Identity/share(from:)``.
    let share: String?

    /// One HTTP request: what it began ends with it.
    package static func request(of identity: Identity) -> QueryRequester {
        let name = MessageID.next()
        return QueryRequester(
            key: ClientKey(name),
            userID: name,
            username: identity.username,
            client: nil,
            identity: identity,
            share: identity.share(from: ClientConnection.current?.address)
        )
    }

    init(_ client: ConnectedClient) {
        self.init(
            key: ClientKey(client.name),
            userID: client.name,
            username: client.username,
            client: client.id,
            identity: client.identity,
            share: client.share
        )
    }

    private init(
        key: ClientKey,
        userID: String,
        username: String?,
        client: ClientID?,
        identity: Identity,
        share: String?
    ) {
        self.key = key
        self.userID = userID
        self.username = username
        self.client = client
        self.identity = identity
        self.share = share
    }
}

/// How a query with a single JSON document ended.
package enum QueryEnding: Sendable, Hashable {
    case completed
    /// - Parameter retryAfter: when to try again, in milliseconds, if it is a matter of time.
    case failed(ErrorCode, retryAfter: Int?)
    case cancelled(QueryCancelledPayload.Reason)
}

/// A query that is queued or running.
package struct RunningQuery: Sendable {
    let handle: QueryHandle

    /// Its output is writable again. Never blocks.
    package func resume() { handle.resume() }
}

/// Sends a query's messages to its WebSocket client, through the hub, so that they keep their order with all other
/// messages of the client. Thread-safe.
final class ClientQueryOutput: QueryOutput {
    private let hub: Hub
    private let client: ClientID
    private let rowBackpressure: RowBackpressure
    private let query = Mutex(Link.open)
    private let held = Mutex(Held())

    /// The messages that are held back.
    private struct Held {
        enum Phase { case direct, holding, late }

        var phase = Phase.direct
        var messages: [EncodedMessage] = []
        var rowBytes = 0
    }

    /// The query retains its output, so the output must not retain a finished query.
    private enum Link {
        case open
        case connected(RunningQuery)
        case finished
    }

    /// - Parameter rowBackpressure: the back-pressure of the client, over all its queries.
    init(hub: Hub, client: ClientID, rowBackpressure: RowBackpressure) {
        self.hub = hub
        self.client = client
        self.rowBackpressure = rowBackpressure
        rowBackpressure.add(self)
    }

    /// Sets the query to resume when the client can take more.
    func connect(_ query: RunningQuery) {
        let isRunning = self.query.withLock { link in
            // The query may already have ended.
            if case .finished = link { return false }
            link = .connected(query)
            return true
        }
        // The query may already be waiting.
        if isRunning { query.resume() }
    }

    var holdsBack: Bool { true }

    func hold(readOnly: Bool) {
        // A client that receives the changes of its write learns first that it began.
        guard readOnly || !hub.hasListeners(.tables) else { return }
        held.withLock { if $0.phase == .direct { $0.phase = .holding } }
    }

    func sendHeld() { held.withLock { sendHeld(&$0) } }

    func send(event json: [UInt8]) {
        send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryProgress), rowBytes: 0)
    }

    func send(rows json: UnsafeRawBufferPointer) {
        rowBackpressure.sent(byteCount: json.count)
        send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryRows), rowBytes: json.count)
    }

    private func send(_ message: EncodedMessage, rowBytes: Int) {
        // Sent under the lock, which keeps the order of messages from several threads.
        held.withLock { held in
            held.messages.append(message)
            held.rowBytes += rowBytes
            if held.phase != .holding { pass(&held) }
        }
    }

    private func sendHeld(_ held: inout Held) {
        held.phase = .late
        pass(&held)
    }

    private func pass(_ held: inout Held) {
        guard !held.messages.isEmpty else { return }
        var whenTaken: WhenTaken?
        if held.rowBytes > 0 {
            whenTaken = { [rowBackpressure, count = held.rowBytes] _ in rowBackpressure.taken(byteCount: count) }
        }
        hub.send(held.messages, to: client, whenTaken: whenTaken)
        held.messages = []
        held.rowBytes = 0
    }

    var isWritable: Bool { rowBackpressure.isBelowLimit }

    /// The client takes rows again.
    func resume() {
        if case .connected(let query) = query.withLock({ $0 }) { query.resume() }
    }

    func finish() {
        sendHeld()
        query.withLock { $0 = .finished }
        rowBackpressure.remove(self)
    }
}
