import Broadcast
import QueryService
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
