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

    /// One HTTP request: what it begins ends with it.
    package static func request() -> QueryRequester {
        let name = MessageID.next()
        return QueryRequester(key: ClientKey(name), userID: name, username: nil, client: nil)
    }

    init(_ client: ConnectedClient) {
        self.init(key: ClientKey(client.name), userID: client.name, username: client.username, client: client.id)
    }

    private init(key: ClientKey, userID: String, username: String?, client: ClientID?) {
        self.key = key
        self.userID = userID
        self.username = username
        self.client = client
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
