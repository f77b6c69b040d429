import Broadcast
import WebSocketTransport

/// The settings of connections and of the delivery to clients, by the part that enforces them.
extension LimitSetting {
    static let clients: [LimitSetting] = [
        .count(
            "clients.maxConnections",
            \.clients.maxConnections,
            "WebSockets and event streams together: 503 with `Retry-After`",
            in: 1...1_000_000
        ),
        .count(
            "clients.maxPendingConnections",
            \.clients.maxPendingConnections,
            "or `maxConnections` + 256 if that is more; connections other than WebSockets and event streams: the oldest without a valid token is closed"
        ),
        .count(
            "clients.maxUnauthenticatedPerAddress",
            \.clients.maxUnauthenticatedPerAddress,
            "or `maxConnections` if that is more; connections without a valid token from one address or IPv6 /64 network: the oldest is closed"
        ),
        .count(
            "clients.maxConnectionsOfIdentity",
            \.clients.maxConnectionsOfIdentity,
            "of these, those of one identity, without tokens of one address: 429 with `Retry-After`, or close 4429"
        ),
        .count(
            "clients.maxMessagesPerSecond",
            \.clients.maxMessagesPerSecond,
            "average rate of a client's messages: close 4429"
        ),
        .count("clients.maxMessageBurst", \.clients.maxMessageBurst, "burst of a client's messages: close 4429"),
        .count(
            "clients.maxMessagesPerSecondOfIdentity",
            \.clients.maxMessagesPerSecondOfIdentity,
            "average rate over all connections of one identity, without tokens of one address: close 4429"
        ),
        .count(
            "clients.maxMessageBurstOfIdentity",
            \.clients.maxMessageBurstOfIdentity,
            "burst over all connections of one identity: close 4429"
        ),
    ]

    static let connection: [LimitSetting] = [
        .bytes(
            "connection.maxMessageBytes",
            \.connection.maxMessageBytes,
            "a client's message, decompressed: close 1009"
        ),
        .bytes(
            "connection.maxUnsentBytesWhileReading",
            \.connection.maxUnsentBytesWhileReading,
            "bytes that the socket has not taken: nothing more is read from the client until it takes them"
        ),
        .optionalDuration(
            "connection.heartbeatInterval",
            \.connection.heartbeatInterval,
            "a client silent over two of them is closed with 4408; none for no heartbeat",
            in: .milliseconds(100)...maxTime
        ),
        .duration(
            "connection.closeTimeout",
            \.connection.closeTimeout,
            "from a close frame to its reply: the connection is dropped; `serve` starts with 1500ms"
        ),
        .duration(
            "connection.lingerTimeout",
            \.connection.lingerTimeout,
            "from the last byte sent, or the decision to close a slow client: the connection is reset"
        ),
        .duration(
            "connection.handshakeTimeout",
            \.connection.handshakeTimeout,
            "from the connection to its first complete request: 408"
        ),
        .duration(
            "connection.keepAliveTimeout",
            \.connection.keepAliveTimeout,
            "an HTTP connection between two requests: closed"
        ),
        .duration(
            "connection.bodyTimeout",
            \.connection.bodyTimeout,
            "an HTTP request whose body does not come, with 2 ms more for each byte: closed"
        ),
        .duration(
            "connection.responseTimeout",
            \.connection.responseTimeout,
            "an HTTP response that is not taken: the connection is closed"
        ),
        .bytes(
            "connection.minCompressedBytes",
            \.connection.minCompressedBytes,
            "smaller messages are not compressed",
            in: 0...1 << 30
        ),
    ]

    static let hub: [LimitSetting] = [
        .bytes("hub.maxQueuedBytes", \.hub.maxQueuedBytes, "outbound queue of a client: close 4413"),
        .bytes(
            "hub.resumeQueuedBytes",
            \.hub.resumeQueuedBytes,
            "outbound queue of a client during a replay, a result or a snapshot: more is produced once it is shorter"
        ),
        .bytes(
            "hub.maxPendingBytes",
            \.hub.maxPendingBytes,
            "published bytes that one event loop has not written: its clients are closed with 4413"
        ),
        .count(
            "hub.minGatheringClients",
            \.hub.minGatheringClients,
            "an event loop with fewer clients writes each message at once"
        ),
        .bytes("hub.gatheredBytes", \.hub.gatheredBytes, "one write: it is not delayed to add messages"),
        .bytes(
            "hub.replayChunkBytes",
            \.hub.replayChunkBytes,
            "a replay in one turn of an event loop: the rest is sent in later turns"
        ),
        .count(
            "hub.maxSubscriptionsPerClient",
            \.hub.maxSubscriptionsPerClient,
            "subscriptions to `tables` of one connection: `RATE_LIMITED`"
        ),
        .count(
            "hub.maxDistinctFilters",
            \.hub.maxDistinctFilters,
            "distinct table filters of one identity over all its connections; clients without a token count as one identity: `RATE_LIMITED`"
        ),
        .count(
            "hub.maxDistinctFiltersInAll",
            \.hub.maxDistinctFiltersInAll,
            "distinct table filters of all identities: `RATE_LIMITED`"
        ),
    ]

    static let history: [LimitSetting] = [
        .bytes("hub.history.maxBytes", \.hub.history.maxBytes, "older transactions are discarded: `recovered: false`"),
        .count("hub.history.maxTransactions", \.hub.history.maxTransactions, "the same"),
        .duration("hub.history.maxAge", \.hub.history.maxAge, "the same"),
        .bytes(
            "hub.history.maxPinnedBytes",
            \.hub.history.maxPinnedBytes,
            "transactions kept for replays and snapshots in progress: their clients are closed with 4413"
        ),
    ]

    static let http: [LimitSetting] = [
        .bytes("http.maxQueryBodyBytes", \.http.maxQueryBodyBytes, "body of `POST /query` and `POST /row`: 413"),
        .bytes("http.maxLiveBodyBytes", \.http.maxLiveBodyBytes, "body of `POST /live`: 413"),
        .bytes("http.maxBroadcastBodyBytes", \.http.maxBroadcastBodyBytes, "body of `POST /broadcast`: 413"),
        .bytes(
            "http.maxQueuedBytes",
            \.http.maxQueuedBytes,
            "streamed response that the client has not taken: the query waits"
        ),
        .count(
            "http.documentRows",
            \.http.documentRows,
            "rows in a JSON document whose request names no number: `truncated`"
        ),
        .count(
            "http.maxDocumentRows",
            \.http.maxDocumentRows,
            "rows in a JSON document that a request can ask for: `truncated`"
        ),
        .bytes("http.maxDocumentBytes", \.http.maxDocumentBytes, "one JSON document: `truncated`"),
        .duration("http.keepAliveInterval", \.http.keepAliveInterval, "between two comments in an idle event stream"),
    ]
}
