public import WireProtocol

/// A row of a query's result.
public struct ResultRow: Sendable, Hashable {
    /// The names of the columns, as SQLite reports them; several can have the same name.
    public let columns: [String]
    public let values: [WireValue]
    /// The statement of the script that returned the row, from 0.
    public let statementIndex: Int

    /// The value of the first column with this name; nil when there is none.
    public subscript(column: String) -> WireValue? { columns.firstIndex(of: column).map { values[$0] } }
}

extension TablecastClient {
    /// Runs SQL, and delivers its rows as they are stepped.
    ///
    /// The query pauses while the reader is behind. Releasing the iterator cancels the query.
    public func query(_ sql: String, _ parameters: [WireValue] = []) -> ResultRows {
        query(QueryRequest(sql: sql, parameters: parameters.isEmpty ? .none : .positional(parameters)))
    }

    /// The same with all settings: named parameters, a timeout, a maximum of rows.
    public func query(_ request: QueryRequest) -> ResultRows { ResultRows(client: self, request: request) }

    /// Runs SQL to its end, and discards its rows.
    ///
    /// - Returns: the number of changed rows, and the position of the transaction that the query committed.
    /// - Throws: `requestFailed` with the server's error code; `queryCancelled`.
    @discardableResult
    public func execute(
        _ sql: String,
        _ parameters: [WireValue] = []
    ) async throws(TablecastClientError) -> QueryCompletePayload {
        var rows = query(sql, parameters).makeAsyncIterator()
        while try await rows.next() != nil {}
        guard let summary = rows.summary else {
            throw TablecastClientError(.queryCancelled, "the task was cancelled before the query ended")
        }
        return summary
    }
}

/// The rows of ``TablecastClient/query(_:_:)``. Each iteration runs the query once, on its own connection.
public struct ResultRows: AsyncSequence, Sendable {
    public typealias Element = ResultRow
    public typealias Failure = TablecastClientError

    let client: TablecastClient
    let request: QueryRequest

    public func makeAsyncIterator() -> Iterator { Iterator(client: client, request: request) }

    public struct Iterator: AsyncIteratorProtocol {
        /// The end of the query, after the last row.
        public private(set) var summary: QueryCompletePayload?
        private let client: TablecastClient
        private let request: QueryRequest
        private var connection: ClientConnection?
        private var messages: ReceivedMessages.Iterator?
        /// The rest of the received batch.
        private var rows: [WireRow] = []
        private var next = 0
        private var columns: [String] = []
        private var statementIndex = 0
        private var isOver = false

        private static let requestID = "query"

        fileprivate init(client: TablecastClient, request: QueryRequest) {
            self.client = client
            // Rows as arrays are shorter, and keep columns with equal names apart.
            var request = request
            request.rowFormat = .arrays
            self.request = request
        }

        public mutating func next() async throws(TablecastClientError) -> ResultRow? { try await next(isolation: nil) }

        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> ResultRow? {
            while true {
                if next < rows.count {
                    defer { next += 1 }
                    let values = rows[next].values(columns: columns)
                    return ResultRow(columns: columns, values: values, statementIndex: statementIndex)
                }
                guard !isOver else { return nil }
                do {
                    try await advance(isolation: actor)
                } catch {
                    end()
                    throw error
                }
            }
        }

        private mutating func advance(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) {
            guard let connection, var reader = messages else {
                let connection = try await client.connect()
                self.connection = connection
                messages = connection.messages.makeAsyncIterator()
                return try await connection.send(ClientMessage(id: Self.requestID, .executeQuery(request)))
            }
            let message = try await reader.next(isolation: actor)
            messages = reader
            guard let message else {
                // A cancelled task ends the iteration, and the connection with it.
                guard !Task.isCancelled else { return end() }
                throw await connection.failure
            }
            guard message.envelope.header.replyTo == Self.requestID else { return }
            switch message.envelope.payload {
            case .queryRows(let batch):
                (rows, next, columns, statementIndex) = (batch.rows, 0, batch.columns, batch.statementIndex)
            case .queryComplete(let summary):
                self.summary = summary
                end()
                guard summary.isInTransaction == true else { return }
                var failure = TablecastClientError(
                    .requestFailed,
                    "the SQL left a transaction open, and it was rolled back: end it with COMMIT, or omit BEGIN"
                )
                failure.errorCode = .transactionLeftOpen
                failure.position = summary.position
                throw failure
            case .queryError(let error): throw TablecastClientError(error)
            case .error(let error): throw TablecastClientError(error)
            case .queryCancelled(let cancelled): throw Self.failure(cancelled)
            default: return
            }
        }

        /// Releases the connection, which closes it.
        private mutating func end() {
            isOver = true
            messages = nil
            connection = nil
        }

        private static func failure(_ cancelled: QueryCancelledPayload) -> TablecastClientError {
            let cause =
                switch cancelled.reason {
                case .client: "requested by a client"
                case .timeout: "its timeout expired"
                case .disconnect: "the connection was lost"
                case .shutdown: "the server is shutting down"
                default: cancelled.reason.rawValue
                }
            var failure = TablecastClientError(.queryCancelled, "the query was cancelled: \(cause)")
            failure.position = cancelled.position
            return failure
        }
    }
}
