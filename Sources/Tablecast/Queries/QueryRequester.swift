import Broadcast
import NIOCore
import QueryEngine
import Synchronization
import WebSocketTransport
package import WireProtocol

/// Who asks for queries: a WebSocket client, or one HTTP request.
package struct QueryRequester: Sendable {
    let key: ClientKey
    let userID: String
    let username: String?
    /// The client on the WebSocket, which hears of its queries directly.
    let client: ClientID?
    let identity: Identity
    /// Whose share of the queue its queries take: see ``Identity/share(from:)``.
    let share: String?

    /// One HTTP request: what it begins ends with it.
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

/// How a query that was answered as one document ended.
package enum QueryEnding: Sendable, Hashable {
    case completed
    case failed(ErrorCode)
    case cancelled(QueryCancelledPayload.Reason)
}

/// A query that waits or runs.
package struct RunningQuery: Sendable {
    let handle: QueryHandle

    /// Its output is writable again. Never blocks.
    package func resume() { handle.resume() }
}

/// Sends a query's messages to the WebSocket client that asked for it, through the hub, so that they keep their order with
/// everything else it hears. Thread-safe.
final class ClientQueryOutput: QueryOutput {
    private let hub: Hub
    private let client: ClientID
    private let rowBackpressure: RowBackpressure
    private let query = Mutex(Link.open)

    /// The query keeps its output, so that one that is over must not be kept by it in turn.
    private enum Link {
        case open
        case connected(RunningQuery)
        case finished
    }

    /// - Parameter rowBackpressure: those of the client, over all its queries.
    init(hub: Hub, client: ClientID, rowBackpressure: RowBackpressure) {
        self.hub = hub
        self.client = client
        self.rowBackpressure = rowBackpressure
        rowBackpressure.add(self)
    }

    /// Connects the query, which is resumed when the client can take more.
    func connect(_ query: RunningQuery) {
        let isRunning = self.query.withLock { link in
            // Many a query is over before this.
            if case .finished = link { return false }
            link = .connected(query)
            return true
        }
        // It may have begun to wait before this.
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
