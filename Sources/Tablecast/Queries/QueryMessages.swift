import QueryEngine
import SQLiteConnection
import WireProtocol

/// Converts the results of a query to `query:*` messages, including its rows.
///
/// `@unchecked Sendable`: the query service makes one call at a time and orders them, so the state needs no lock of its
/// own; a lock for every row would cost more than its encoding.
final class QueryMessages: QuerySink, @unchecked Sendable {
    private let events: QueryEvents
    private let rowFormat: QueryRequest.RowFormat
    private let output: any QueryOutput

    /// Grows to the size of a batch when there are that many rows; most queries have one row.
    private var writer = JSONWriter(capacityBytes: 2 << 10)
    private var rows: RowEncoder?
    private var statementIndex = 0
    /// Rows of the statement that were sent before the current message.
    private var sentRows = 0
    private var rowsInMessage = 0
    /// The offset of the last row in the message.
    private var rowStart = 0

    init(_ events: QueryEvents, rowFormat: QueryRequest.RowFormat, output: any QueryOutput) {
        self.events = events
        self.rowFormat = rowFormat
        self.output = output
    }

    var isWritable: Bool { output.isWritable }
    var holdsBack: Bool { output.holdsBack }

    func announce() { output.sendHeld() }

    func started(readOnly: Bool) {
        output.hold(readOnly: readOnly)
        output.send(event: events.started(readOnly: readOnly))
    }

    func columns(statementIndex: Int, names: [String]) {
        flushRows()
        self.statementIndex = statementIndex
        sentRows = 0
        rows = RowEncoder(columns: names, format: rowFormat)
        // An empty result has columns too, and the message lists them.
        beginRows()
    }

    func row(_ statement: borrowing Statement) -> Int {
        if !isWritingRows { beginRows() }
        rowStart = writer.count
        rows?.write(statement, to: &writer)
        rowsInMessage += 1
        return writer.count - rowStart
    }

    func takeBackRow() {
        writer.truncate(to: rowStart)
        rowsInMessage -= 1
    }

    func endOfBatch() {
        flushRows()
        output.sendHeld()
    }

    func progress(_ progress: QueryProgress) {
        output.sendHeld()
        output.send(event: events.progress(progress))
    }

    func completed(_ outcome: QueryOutcome) {
        flushRows()
        output.send(event: events.completed(outcome))
        output.finish()
    }

    func failed(_ failure: QueryFailure) {
        flushRows()
        output.send(event: events.failed(failure))
        output.finish()
    }

    func cancelled(_ cancellation: QueryCancellation) {
        flushRows()
        output.send(event: events.cancelled(cancellation))
        output.finish()
    }

    // MARK: Rows

    private var isWritingRows: Bool { writer.count > 0 }

    private func beginRows() {
        writer.beginEnvelope(EnvelopeHeader(.queryRows, channel: .queries, replyTo: events.requestID))
        QueryRowsPayload.beginWriting(
            to: &writer,
            queryID: events.queryID,
            statementIndex: statementIndex,
            columns: rows?.columns ?? [],
            offset: sentRows
        )
    }

    private func flushRows() {
        guard isWritingRows else { return }
        QueryRowsPayload.endWriting(to: &writer)
        writer.endEnvelope()
        writer.withUnsafeBytes { output.send(rows: $0) }
        writer.removeAll()
        sentRows += rowsInMessage
        rowsInMessage = 0
    }
}

// Converts the query service's values to those of the protocol.

extension QueryCompletePayload {
    init(queryID: String, _ outcome: QueryOutcome) {
        self.init(
            queryID: queryID,
            rowCount: outcome.rowCount,
            duration: outcome.duration.milliseconds,
            changes: Int(clamping: outcome.changes),
            lastInsertRowID: outcome.lastInsertRowid,
            isTruncated: outcome.truncated ? true : nil,
            position: Position(receipt: outcome.receipt),
            isInTransaction: outcome.inTransaction ? true : nil
        )
    }
}

extension Position {
    /// The position of a commit's receipt; nil when there was none.
    init?(receipt: String?) {
        // The feed wrote it, so it always parses.
        guard let receipt, let position = try? Position(parsing: receipt) else { return nil }
        self = position
    }
}

extension QueryErrorPayload {
    init(queryID: String, _ failure: QueryFailure) {
        self.init(
            queryID: queryID,
            error: failure.message,
            code: ErrorCode(rawValue: failure.code.rawValue),
            sqliteCode: failure.sqliteCode.map { Int($0) },
            sqlOffset: failure.offset,
            statementIndex: failure.statementIndex,
            retryAfter: failure.retryAfter.map { Int($0 / .milliseconds(1)) },
            position: Position(receipt: failure.receipt),
            isInTransaction: failure.inTransaction
        )
    }
}

extension QueryCancelledPayload.Reason {
    init(_ reason: CancelReason) {
        self =
            switch reason {
            case .client: .client
            case .timeout: .timeout
            case .disconnect: .disconnect
            case .shutdown: .shutdown
            }
    }
}

extension QueryParameters {
    init(_ parameters: QueryRequest.Parameters) {
        self =
            switch parameters {
            case .none: .none
            case .positional(let values): .positional(values.map { SQLiteValue($0) })
            case .named(let values): .named(values.map { (name: $0.key, value: SQLiteValue($0.value)) })
            }
    }
}

/// Writes the rows of one statement as JSON in the requested format.
struct RowEncoder: Sendable {
    /// The names in the message: SQLite's, or made unique where they are the keys of objects.
    let columns: [String]
    private let keys: [JSONKey]
    private let format: QueryRequest.RowFormat
    private let count: Int

    init(columns: [String], format: QueryRequest.RowFormat) {
        self.columns = format == .objects ? ResultColumns.uniqueNames(columns) : columns
        self.keys = format == .objects ? self.columns.map { JSONKey($0) } : []
        self.format = format
        self.count = columns.count
    }

    /// Writes the statement's current row with borrowed values.
    @inline(__always)
    func write(_ statement: borrowing Statement, to writer: inout JSONWriter) {
        switch format {
        case .objects:
            writer.beginObject()
            for column in 0..<count {
                writer.key(keys[column])
                statement.withColumn(column) { writer.value($0) }
            }
            writer.endObject()
        case .arrays:
            writer.beginArray()
            for column in 0..<count {
                statement.withColumn(column) { writer.value($0) }
            }
            writer.endArray()
        }
    }
}

/// The destination of a query's messages: the requester's WebSocket connection, or the response to its request.
///
/// Called on the query's thread, in order; never blocks.
package protocol QueryOutput: AnyObject, Sendable {
    /// Whether ``hold(readOnly:)`` has an effect.
    var holdsBack: Bool { get }
    /// Messages may be held back from now on, to be sent together, until ``sendHeld()`` or ``finish()``.
    func hold(readOnly: Bool)
    /// Sends what is held back, and holds back nothing more. Called on any thread, at any time.
    func sendHeld()
    /// A `query:*` message without rows.
    func send(event json: [UInt8])
    /// A message with result rows; the bytes are valid only within the call.
    func send(rows json: UnsafeRawBufferPointer)
    /// Whether the requester accepts more rows now. After false, the query's handle must be resumed later.
    var isWritable: Bool { get }
    /// The query is over: this is the last call, except for ``sendHeld()``.
    func finish()
}

extension QueryOutput {
    package var holdsBack: Bool { false }
    package func hold(readOnly: Bool) {}
    package func sendHeld() {}
}
