public import Broadcast
public import ChangeCapture
public import LiveQueries
public import QueryEngine
public import WebSocketTransport

/// All limits of a server and of the database that it serves, by the part that enforces them, with their units and
/// defaults.
///
/// ```swift
/// var configuration = ServerConfiguration()
/// configuration.limits.query.maxRows = 10_000
/// configuration.limits.hub.history.maxBytes = 256 << 20
/// let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"), server: configuration)
/// ```
///
/// The command sets the same limits by the same names: `--limit query.maxRows=10000`. The article *Operating* lists
/// them with the effect of exceeding each. A server without a database ignores those of queries, live queries,
/// snapshots and capture.
public struct Limits: Sendable, Hashable {
    /// The number of clients and connections, and the rate of clients' messages.
    public var clients = ClientLimits()
    /// One connection: message size, heartbeat and timeouts.
    public var connection = WebSocketLimits()
    /// Outbound queues, subscriptions, and the history for clients that resume.
    public var hub = HubLimits()
    /// Queries: concurrency, time, memory and size.
    public var query = QueryLimits()
    /// Live queries and the conditions of subscriptions.
    public var live = LiveLimits()
    /// Watching the database file.
    public var capture = WatcherLimits()
    /// The state on disk, for clients that resume after a restart.
    public var state = StateLimits()
    /// Snapshots that begin a subscription.
    public var snapshot = SnapshotLimits()
    /// HTTP requests and responses.
    public var http = HTTPLimits()

    public init() {}
}

/// The limits of all clients together, and of the messages they send.
public struct ClientLimits: Sendable, Hashable {
    /// WebSockets and event streams together; new ones beyond it are answered with 503. 100.
    public var maxConnections = 100
    /// Of these, those of one identity, and without tokens of one IP address, or IPv6 network of 64 bits: new ones beyond it are
    /// answered with 429. Without effect while it is at least ``maxConnections``. 10,000.
    public var maxConnectionsOfIdentity = 10_000
    /// Connections that are neither WebSockets nor event streams: those without a request yet, and those of HTTP
    /// requests. Beyond it the oldest one without a token is closed for the new one. 512, and at least 256 more than
    /// ``maxConnections``: after a restart all clients connect at once.
    public var maxPendingConnections = 512
    /// Connections of one IP address, or IPv6 network of 64 bits, that have not shown a token: beyond it the oldest of
    /// them is closed. 256, and at least ``maxConnections``.
    public var maxUnauthenticatedPerAddress = 256
    /// Messages that a client may send per second on average; 1,000.
    public var maxMessagesPerSecond = 1_000
    /// Messages that it may send at once after a pause; 2,000. Beyond it the connection is closed with 4429.
    public var maxMessageBurst = 2_000
    /// Messages that all connections of one identity may send together in one second on average; 10,000. Without tokens
    /// those of one IP address, or IPv6 network of 64 bits, are one.
    public var maxMessagesPerSecondOfIdentity = 10_000
    /// Messages that they may send at once after a pause; 20,000. The connection that sends one more is closed with 4429.
    public var maxMessageBurstOfIdentity = 20_000

    public init() {}
}

/// The limits of the state on disk; see ``DatabaseConfiguration/state``.
public struct StateLimits: Sendable, Hashable {
    /// Bytes of the transactions that are kept. 256 MiB.
    public var maxBytes = 256 << 20
    /// How long transactions are kept, rounded up to the end of a file. A day.
    public var maxAge = Duration.seconds(86_400)

    public init() {}
}

/// The limits of the snapshots that begin subscriptions.
public struct SnapshotLimits: Sendable, Hashable {
    /// Snapshots that are sent at the same time: each prevents the log from shrinking. 16.
    public var maxConcurrent = 16
    /// The time limit of a snapshot: a slow client must not hold the log forever. 10 minutes.
    public var maxDuration = Duration.seconds(600)
    /// Bytes of a row's values. 16 MiB.
    public var maxRowBytes = 16 << 20
    /// The time limit for the rows of one message: a generated column can be arbitrarily slow. 10 seconds.
    public var maxMessageTime = Duration.seconds(10)

    public init() {}
}

/// The limits of HTTP requests and their responses.
public struct HTTPLimits: Sendable, Hashable {
    /// Bytes of the body of `POST /query` and `POST /row`. 4 MiB.
    public var maxQueryBodyBytes = 4 << 20
    /// Bytes of the body of `POST /live`. 1 MiB.
    public var maxLiveBodyBytes = 1 << 20
    /// Bytes of the body of `POST /broadcast`. 1 MiB.
    public var maxBroadcastBodyBytes = 1 << 20
    /// Bytes on their way to a client beyond which the query of a streamed response waits. 1 MiB.
    public var maxQueuedBytes = 1 << 20
    /// Rows in one JSON document when the request names no number. 10,000.
    public var documentRows = 10_000
    /// Rows in one JSON document that a request may ask for. 1,000,000.
    public var maxDocumentRows = 1_000_000
    /// Bytes of one JSON document; further rows are left out. 32 MiB.
    public var maxDocumentBytes = 32 << 20
    /// The interval between comments that keep proxies from closing an idle event stream. 15 seconds.
    public var keepAliveInterval = Duration.seconds(15)

    public init() {}
}
