public import WireProtocol

/// The rows of a live query after a commit that changed them.
public struct LiveUpdate: Sendable, Hashable {
    /// The names of the columns.
    public let columns: [String]
    /// All rows, in the order of the query if it has one.
    public let rows: [[String: WireValue]]
    /// What changed since the previous update; nil when the rows come from a snapshot.
    public let changes: [QueryChangedPayload.Row]?
    /// The rows are those of the query as of this position; nil if the server has not reported one.
    public let position: Position?
}

extension TablecastClient {
    /// The rows of a SELECT, now and after every commit that changes them.
    ///
    /// After a lost connection the query continues with the changes meanwhile, or with a snapshot when the server does
    /// not have them any more.
    public func live(_ sql: String, _ parameters: [WireValue] = []) -> LiveRows {
        live(LiveQueryRequest(sql: sql, parameters: parameters.isEmpty ? .none : .positional(parameters)))
    }

    /// The same with all settings: named parameters, the columns that identify a row.
    public func live(_ request: LiveQueryRequest) -> LiveRows { LiveRows(client: self, request: request) }
}

/// The updates of ``TablecastClient/live(_:_:)``. Each iteration has its own connection.
///
/// It ends when its task is cancelled, and with an error when the query cannot be live, or cannot go on. While the server
/// cannot serve it, because its database is away or it stops, it connects again like after a lost connection.
public struct LiveRows: AsyncSequence, Sendable {
    public typealias Element = LiveUpdate
    public typealias Failure = TablecastClientError

    let client: TablecastClient
    let request: LiveQueryRequest

    public func makeAsyncIterator() -> Iterator {
        Iterator(base: LiveQueryMessages(client: client, request: request).makeAsyncIterator())
    }

    /// Reads from the connection only in `next()`: while the reader is behind, the server combines the changes of several
    /// commits.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var base: LiveQueryMessages.Iterator
        private var table = LiveTable()
        /// Nil while a snapshot is received.
        private var changes: [QueryChangedPayload.Row]? = []

        fileprivate init(base: LiveQueryMessages.Iterator) { self.base = base }

        public mutating func next() async throws(TablecastClientError) -> LiveUpdate? { try await next(isolation: nil) }

        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> LiveUpdate? {
            while let message = try await base.next(isolation: actor) {
                let envelope = message.envelope
                switch envelope.payload {
                case .querySubscribed(let subscribed): changes = subscribed.isRecovered == true ? [] : nil
                case .querySnapshot: changes = nil
                case .queryChanged(let changed): changes?.append(contentsOf: changed.rows)
                default: break
                }
                guard table.apply(envelope.payload) else { continue }
                defer { changes = [] }
                return LiveUpdate(
                    columns: table.columns,
                    rows: table.rows,
                    changes: changes,
                    position: envelope.header.position
                )
            }
            return nil
        }
    }
}
