import QueryEngine
public import SQLiteConnection
import Synchronization
public import WireProtocol

extension TablecastService {
    /// Runs SQL for the application and returns its rows as they are stepped.
    ///
    /// ```swift
    /// for try await row in service.query("SELECT name FROM genre WHERE genre_id < ?", [.integer(3)]) {
    ///     print(row["name"] ?? .null)
    /// }
    /// ```
    ///
    /// The query starts when the iteration starts, on a thread of the service, under the service's limits, and is
    /// published on channel `queries` like a client's query. Stepping pauses while the reader falls behind, so that
    /// memory stays bounded; ending the iteration or cancelling its task cancels the query. A script of several
    /// statements is one transaction and yields the rows of each statement in turn.
    ///
    /// - Parameters:
    ///   - sql: one statement or a script.
    ///   - parameters: for `?`, in order.
    ///   - identity: the identity whose rights apply and to which its commits are attributed. By default the
    ///     application's own, with the rights of the role `admin`.
    public func query(
        _ sql: String,
        _ parameters: [SQLiteValue] = [],
        as identity: Identity = .application
    ) -> QueryRows {
        QueryRows(service: self, sql: sql, parameters: parameters, identity: identity)
    }

    /// Runs SQL for the application, discards its rows, and returns a summary once its commit is published.
    ///
    /// - Throws: ``QueryError``.
    @discardableResult
    public func execute(
        _ sql: String,
        _ parameters: [SQLiteValue] = [],
        as identity: Identity = .application
    ) async throws(QueryError) -> QuerySummary {
        var rows = query(sql, parameters, as: identity).makeAsyncIterator()
        while try await rows.next() != nil {}
        return try rows.summary()
    }
}

extension Identity {
    /// The application that a service is embedded in.
    public static let application = Identity(id: "application", username: "application", role: .admin)
}

/// A row of a query's result.
public struct QueryRow: Sendable {
    /// The result's columns, in order.
    public let columns: [String]
    public let values: [SQLiteValue]
    /// The index of its statement in the script, from 0.
    public let statementIndex: Int

    /// The value of the first column with that name; nil when there is none.
    public subscript(column: String) -> SQLiteValue? { columns.firstIndex(of: column).map { values[$0] } }
}

/// The summary of a query that ran to its end.
public struct QuerySummary: Sendable, Hashable {
    /// Rows delivered, over all statements.
    public let rowCount: Int
    /// Rows that its statements changed, without those changed by triggers and foreign keys.
    public let changes: Int
    /// The rowid of the last inserted row, if there was one.
    public let lastInsertRowID: Int64?
    /// The position of the transaction that it committed; nil when it changed nothing.
    public let position: Position?
    /// Whether rows beyond the limits were left out.
    public let isTruncated: Bool
    /// The time from the start to the end.
    public let duration: Duration
}

/// Why a query did not run to its end.
public struct QueryError: Error, Sendable, Hashable, CustomStringConvertible {
    public let code: ErrorCode
    public let message: String
    /// SQLite's extended result code, if SQLite reported the error.
    public let sqliteCode: Int?
    /// The position of the error in the SQL in UTF-8 bytes, if it is known.
    public let sqlOffset: Int?
    /// The last transaction that the query committed before it failed; nil when it committed none.
    public let position: Position?

    init(
        _ code: ErrorCode,
        _ message: String,
        sqliteCode: Int? = nil,
        sqlOffset: Int? = nil,
        position: Position? = nil
    ) {
        self.code = code
        self.message = message
        self.sqliteCode = sqliteCode
        self.sqlOffset = sqlOffset
        self.position = position
    }

    public var description: String { "\(message) (\(code))" }
}

/// The rows of ``TablecastService/query(_:_:as:)``. Each iteration runs the query.
public struct QueryRows: AsyncSequence, Sendable {
    public typealias Element = QueryRow
    public typealias Failure = QueryError

    let service: TablecastService
    let sql: String
    let parameters: [SQLiteValue]
    let identity: Identity

    public func makeAsyncIterator() -> Iterator { Iterator(run: QueryRowsRun(self)) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let run: QueryRowsRun

        public mutating func next() async throws(QueryError) -> QueryRow? { try await next(isolation: nil) }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(QueryError) -> QueryRow? {
            try await run.next()
        }

        /// The summary of the query, after the last row.
        func summary() throws(QueryError) -> QuerySummary { try run.summary() }
    }
}

/// One run of a query: cancels it when the iterator is released.
private final class QueryRowsRun: Sendable {
    private let service: TablecastService
    private let requester: QueryRequester
    private let buffer: RowBuffer

    init(_ rows: QueryRows) {
        service = rows.service
        requester = .request(of: rows.identity)
        buffer = RowBuffer()
        buffer.connect(service.run(rows, for: requester, sink: { RowBuffer.Sink(buffer: buffer, events: $0) }))
    }

    deinit {
        if !buffer.hasEnded { service.requesterLeft(requester) }
    }

    func next() async throws(QueryError) -> QueryRow? {
        while true {
            await withTaskCancellationHandler {
                await buffer.waitForRow()
            } onCancel: {
                service.requesterLeft(requester)
            }
            switch try buffer.takeRow() {
            case .row(let row): return row
            case .end: return nil
            case .none: continue
            }
        }
    }

    func summary() throws(QueryError) -> QuerySummary { try buffer.summary() }
}

extension TablecastService {
    fileprivate func run(
        _ rows: QueryRows,
        for requester: QueryRequester,
        sink: (QueryEvents) -> any QuerySink
    ) -> RunningQuery {
        var query = QueryRequest(sql: rows.sql)
        query.parameters = rows.parameters.isEmpty ? .none : .positional(rows.parameters.map { WireValue($0) })
        return run(query, for: requester, sink: sink)
    }
}

/// Rows between the query's thread and the task that reads them: bounded, because the query pauses while too many wait.
/// Thread-safe; one reader.
private final class RowBuffer: Sendable {
    /// Beyond it the query pauses until the reader has taken all rows.
    static let maxBufferedBytes = 1 << 20

    private struct State {
        var rows: ArraySlice<QueryRow> = []
        var bufferedBytes = 0
        var end: Result<QuerySummary, QueryError>?
        var reader: CheckedContinuation<Void, Never>?
        var query: RunningQuery?
    }

    private let state = Mutex(State())

    func connect(_ query: RunningQuery) { state.withLock { if $0.end == nil { $0.query = query } } }

    var hasEnded: Bool { state.withLock { $0.end != nil } }
    var bufferedBytes: Int { state.withLock { $0.bufferedBytes } }

    /// Adds a complete batch: none of its rows is taken back any more.
    func append(_ batch: [QueryRow], byteCount: Int) {
        state.withLock { state in
            state.rows += batch
            state.bufferedBytes += byteCount
        }
        wakeReader()
    }

    func finish(_ end: Result<QuerySummary, QueryError>) {
        state.withLock { state in
            state.end = end
            // The query retains its sink: break the cycle.
            state.query = nil
        }
        wakeReader()
    }

    private func wakeReader() {
        let reader = state.withLock { state in
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// Returns when there is a row or the query has ended.
    func waitForRow() async {
        await withCheckedContinuation { continuation in
            let (isReady, query) = state.withLock { state -> (Bool, RunningQuery?) in
                if !state.rows.isEmpty || state.end != nil { return (true, nil) }
                state.reader = continuation
                state.bufferedBytes = 0
                return (false, state.query)
            }
            if isReady { continuation.resume() }
            query?.resume()
        }
    }

    enum Taken {
        case row(QueryRow)
        case end
        /// The reader was woken for a row that it had taken before.
        case none
    }

    func takeRow() throws(QueryError) -> Taken {
        let (row, end) = state.withLock { ($0.rows.popFirst(), $0.end) }
        if let row { return .row(row) }
        switch end {
        case .success?: return .end
        case .failure(let error)?: throw error
        case nil: return .none
        }
    }

    func summary() throws(QueryError) -> QuerySummary {
        guard let end = state.withLock({ $0.end }) else {
            throw QueryError(.interrupted, "the iteration ended before the query")
        }
        return try end.get()
    }

    /// Receives the calls of the query service.
    ///
    /// `@unchecked Sendable`: the query service makes one call at a time and orders them.
    final class Sink: QuerySink, @unchecked Sendable {
        private let buffer: RowBuffer
        private let events: QueryEvents
        private var columns: [String] = []
        private var statementIndex = 0
        /// The rows of the batch, which the last one can still leave.
        private var batch: [QueryRow] = []
        private var batchBytes = 0
        private var lastRowBytes = 0

        init(buffer: RowBuffer, events: QueryEvents) {
            self.buffer = buffer
            self.events = events
        }

        var isWritable: Bool { buffer.bufferedBytes + batchBytes < RowBuffer.maxBufferedBytes }

        func started(readOnly: Bool) { _ = events.started(readOnly: readOnly) }

        func columns(statementIndex: Int, names: [String]) {
            columns = names
            self.statementIndex = statementIndex
        }

        func row(_ statement: borrowing Statement) -> Int {
            var values: [SQLiteValue] = []
            values.reserveCapacity(columns.count)
            var byteCount = 0
            for column in columns.indices {
                let value = statement.value(column)
                byteCount += value.byteCount
                values.append(value)
            }
            lastRowBytes = byteCount
            batch.append(QueryRow(columns: columns, values: values, statementIndex: statementIndex))
            batchBytes += byteCount
            return byteCount
        }

        func takeBackRow() {
            _ = batch.popLast()
            batchBytes -= lastRowBytes
        }

        func endOfBatch() {
            buffer.append(batch, byteCount: batchBytes)
            batch = []
            batchBytes = 0
        }

        func progress(_ progress: QueryProgress) { _ = events.progress(progress) }

        func completed(_ outcome: QueryOutcome) {
            _ = events.completed(outcome)
            endOfBatch()
            buffer.finish(.success(QuerySummary(outcome)))
        }

        func failed(_ failure: QueryFailure) {
            _ = events.failed(failure)
            endOfBatch()
            buffer.finish(.failure(QueryError(failure)))
        }

        func cancelled(_ cancellation: QueryCancellation) {
            _ = events.cancelled(cancellation)
            let reason = QueryCancelledPayload.Reason(cancellation.reason).rawValue
            endOfBatch()
            buffer.finish(
                .failure(
                    QueryError(
                        .interrupted,
                        "the query was cancelled: \(reason)",
                        position: Position(receipt: cancellation.receipt)
                    )
                )
            )
        }
    }
}

extension QuerySummary {
    fileprivate init(_ outcome: QueryOutcome) {
        rowCount = outcome.rowCount
        changes = Int(clamping: outcome.changes)
        lastInsertRowID = outcome.lastInsertRowid
        position = Position(receipt: outcome.receipt)
        isTruncated = outcome.truncated
        duration = outcome.duration
    }
}

extension QueryError {
    fileprivate init(_ failure: QueryFailure) {
        self.init(
            ErrorCode(rawValue: failure.code.rawValue),
            failure.message,
            sqliteCode: failure.sqliteCode.map { Int($0) },
            sqlOffset: failure.offset,
            position: Position(receipt: failure.receipt)
        )
    }
}

extension SQLiteValue {
    /// The approximate memory of the row.
    fileprivate var byteCount: Int {
        switch self {
        case .null, .integer, .real: 16
        case .text(let text): 16 + text.utf8.count
        case .blob(let bytes), .malformedText(let bytes): 16 + bytes.count
        }
    }
}
