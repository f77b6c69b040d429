public import WireProtocol

/// What a ``Feed`` delivers. Later versions can have further cases: handle those you need, and others with `default`.
public enum FeedEvent: Sendable, Hashable {
    /// The first connection is open; the subscription is live with the next event.
    case connected(ConnectionAckPayload)
    /// The connection was lost; the feed connects again after the wait.
    case disconnected(TablecastClientError, retryAfter: Duration)
    /// The connection is open again, and every missed transaction follows.
    case resumed
    /// Transactions may be missing between the last one and this position: read the tables again.
    case missed(position: Position?)
    case message(FeedMessage)
}

/// A message of the feed's channels.
public struct FeedMessage: Sendable, Hashable {
    public let envelope: Envelope
    /// The message as received.
    public let json: String
    /// Whether it answers a request of the feed itself: `connection:ack`, `subscribed`.
    public let isReply: Bool
    /// The position of the transaction that this message completes, and for `subscribed` that at which the feed begins: from
    /// here on the feed can be continued after it, with `since`. Nil within a transaction, and for other messages.
    public let position: Position?

    init(_ message: ReceivedMessage, isReply: Bool, position: Position?) {
        envelope = message.envelope
        json = message.json
        self.isReply = isReply
        self.position = position
    }
}

extension TablecastClient {
    /// The committed changes of tables, from now on or after a position.
    ///
    /// - Parameters:
    ///   - tables: names or globs; nil for all.
    ///   - rows: the detail of changed rows.
    ///   - condition: an SQL expression over the columns of the single table; only rows that match it are delivered.
    ///   - since: the position after which to begin; nil to begin with the next transaction.
    /// - Throws: `ProtocolError` for an invalid filter.
    public func changes(
        of tables: [String]? = nil,
        rows: RowLevel = .values,
        where condition: RowCondition? = nil,
        since: Position? = nil
    ) throws(ProtocolError) -> Feed {
        feed([.tables], filter: try TableFilter(tables: tables, rowLevel: rows, condition: condition), since: since)
    }

    /// The messages of channels, over as many connections as needed.
    ///
    /// Each transaction is delivered whole and once, also over a lost connection: the feed continues after the last
    /// message. Where the server cannot continue, the feed says ``FeedEvent/missed(position:)``. When the connection is
    /// lost, the feed connects again with growing, randomized waits.
    ///
    /// - Parameters:
    ///   - filter: of the channel `tables`.
    ///   - since: the position after which `tables` begins.
    ///   - resumes: the id of the subscription that received everything up to `since`, from its ``SubscribedPayload``: with it, the
    ///     server finds out whether the rights of the client have changed since, and the feed says ``FeedEvent/missed(position:)``.
    ///   - waitsForServer: whether to wait for a server that cannot be reached at the beginning; otherwise that is an
    ///     error, because the cause is probably a wrong address.
    public func feed(
        _ channels: [MessageChannel],
        filter: TableFilter = .everything,
        since: Position? = nil,
        resumes: String? = nil,
        waitsForServer: Bool = false
    ) -> Feed {
        Feed(
            client: self,
            session: FeedSession(channels: channels, filter: filter, since: since, subscription: resumes),
            waitsForServer: waitsForServer
        )
    }
}

/// The events of ``TablecastClient/feed(_:filter:since:resumes:waitsForServer:)``. Each iteration has its own connection.
///
/// It ends when its task is cancelled, and with an error that a new attempt would not change: a refused token, a
/// subscription that the server rejects, a message of another version of the protocol. While the server cannot serve a
/// subscription, because its database is away or it stops, the feed connects again like after a lost connection.
public struct Feed: AsyncSequence, Sendable {
    public typealias Element = FeedEvent
    public typealias Failure = TablecastClientError

    let client: TablecastClient
    let session: FeedSession
    let waitsForServer: Bool

    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// Reads from the connection only in `next()`, so a slow reader of the feed slows down the server, and no message is
    /// stored between the two.
    public struct Iterator: AsyncIteratorProtocol {
        private var session: FeedSession
        private var connection: ReconnectingConnection
        /// Decided events that were not requested yet: at most those of one message.
        private var pending: [FeedEvent] = []

        fileprivate init(_ feed: Feed) {
            session = feed.session
            connection = ReconnectingConnection(feed.client, waitsForServer: feed.waitsForServer)
        }

        public mutating func next() async throws(TablecastClientError) -> FeedEvent? {
            try await next(isolation: nil)
        }

        /// - Throws: an error that a new attempt would not change. The connection is then closed, and the feed has ended.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> FeedEvent? {
            if Task.isCancelled { pending = [] }
            while pending.isEmpty {
                guard let event = try await connection.next(isolation: actor) else { return nil }
                switch event {
                case .opened: continue
                case .received(let message): try await received(message, isolation: actor)
                case .lost(let failure, let wait): pending.append(.disconnected(failure, retryAfter: wait))
                }
            }
            return pending.removeFirst()
        }

        private mutating func received(
            _ message: ReceivedMessage,
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) {
            for action in session.received(message) {
                switch action {
                case .send(let request): await connection.send(request, isolation: actor)
                case .deliver(let event):
                    pending.append(event)
                    if case .message(let message) = event, message.isReply { continue }
                    connection.succeeded()
                case .reconnect(let failure):
                    pending.append(.disconnected(failure, retryAfter: connection.reconnect()))
                case .stop(let failure):
                    pending = []
                    connection.end()
                    throw failure
                }
            }
        }
    }
}
