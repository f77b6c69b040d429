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
    ///   - waitsForServer: whether to wait for a server that cannot be reached at the beginning; otherwise that is an
    ///     error, because it is probably a mistake in the address.
    public func feed(
        _ channels: [MessageChannel],
        filter: TableFilter = .everything,
        since: Position? = nil,
        waitsForServer: Bool = false
    ) -> Feed {
        Feed(
            client: self,
            session: FeedSession(channels: channels, filter: filter, since: since),
            waitsForServer: waitsForServer
        )
    }
}

/// The events of ``TablecastClient/feed(_:filter:since:waitsForServer:)``. Each iteration has its own connection.
///
/// It ends when its task is cancelled, and with an error that a new attempt would not change: a refused token, a
/// subscription that the server rejects, a message of another version of the protocol.
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
        private let client: TablecastClient
        private var session: FeedSession
        private var backoff: Backoff
        private var connection: ClientConnection?
        private var messages: ReceivedMessages.Iterator?
        /// Decided events that were not requested yet: at most those of one message.
        private var pending: [FeedEvent] = []
        private var nextWait: Duration?
        private var isReconnecting: Bool
        private var isOver = false

        fileprivate init(_ feed: Feed) {
            client = feed.client
            session = feed.session
            isReconnecting = feed.waitsForServer
            backoff = Backoff(maxWait: feed.client.maxReconnectWait)
        }

        public mutating func next() async throws(TablecastClientError) -> FeedEvent? {
            try await next(isolation: nil)
        }

        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> FeedEvent? {
            while !isOver, !Task.isCancelled {
                if !pending.isEmpty { return pending.removeFirst() }
                do {
                    try await advance(isolation: actor)
                } catch {
                    isOver = true
                    throw error
                }
            }
            messages = nil
            return nil
        }

        /// Reads one message, or connects.
        private mutating func advance(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) {
            guard let connection, var reader = messages else { return try await connect(isolation: actor) }
            let message = try await reader.next(isolation: actor)
            messages = reader
            guard let message else {
                guard !Task.isCancelled else { return }
                let failure = await connection.failure
                self.connection = nil
                messages = nil
                guard failure.isTransient else { throw failure }
                return wait(after: failure)
            }
            for action in session.received(message) {
                switch action {
                case .send(let request):
                    // When the connection has ended, its last messages come first, and then its end.
                    try? await connection.send(request)
                case .deliver(let event):
                    pending.append(event)
                    // The server works: the next failure is the first again.
                    if case .message(let message) = event, message.isReply { continue }
                    backoff.reset()
                case .stop(let failure): throw failure
                }
            }
        }

        private mutating func connect(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) {
            if let wait = nextWait {
                nextWait = nil
                // A cancelled task ends the iteration.
                guard (try? await Task.sleep(for: wait)) != nil else { return }
            }
            do {
                let connection = try await client.connect()
                self.connection = connection
                messages = connection.messages.makeAsyncIterator()
                isReconnecting = true
            } catch  where isReconnecting && error.isTransient {
                wait(after: error)
            }
        }

        private mutating func wait(after failure: TablecastClientError) {
            let wait = backoff.next(spread: .random(in: 0...1))
            nextWait = wait
            pending.append(.disconnected(failure, retryAfter: wait))
        }
    }
}
