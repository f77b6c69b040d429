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

    func send(event json: [UInt8]) {
        hub.send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryProgress), to: client)
    }

    func send(rows json: UnsafeRawBufferPointer) {
        let count = json.count
        rowBackpressure.sent(byteCount: count)
        let message = EncodedMessage(json: ByteBuffer(bytes: json), type: .queryRows)
        hub.send(message, to: client) { [rowBackpressure] _ in rowBackpressure.taken(byteCount: count) }
    }

    var isWritable: Bool { rowBackpressure.isBelowLimit }

    /// The client takes rows again.
    func resume() {
        if case .connected(let query) = query.withLock({ $0 }) { query.resume() }
    }

    func finish() {
        query.withLock { $0 = .finished }
        rowBackpressure.remove(self)
    }
}
