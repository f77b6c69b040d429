import Broadcast
import QueryService
package import WireProtocol

/// Who asks for queries: a WebSocket client, or one HTTP request.
package struct QueryRequester: Sendable {
    let key: ClientKey
    let userID: String
    let username: String?
    /// The client on the WebSocket, which hears of its queries directly.
    let client: ClientID?
    let identity: Identity

    /// One HTTP request: what it begins ends with it.
    package static func request(of identity: Identity) -> QueryRequester {
        let name = MessageID.next()
        return QueryRequester(
            key: ClientKey(name),
            userID: name,
            username: identity.username,
            client: nil,
            identity: identity
        )
    }

    init(_ client: ConnectedClient) {
        self.init(
            key: ClientKey(client.name),
            userID: client.name,
            username: client.username,
            client: client.id,
            identity: client.identity
        )
    }

    private init(key: ClientKey, userID: String, username: String?, client: ClientID?, identity: Identity) {
        self.key = key
        self.userID = userID
        self.username = username
        self.client = client
        self.identity = identity
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
