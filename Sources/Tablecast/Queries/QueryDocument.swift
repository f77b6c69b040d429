import QueryEngine
import SQLiteConnection
import WireProtocol

/// A whole query as one JSON document: the response of `POST /query` without a stream.
///
/// `{"queryId","results":[{"statementIndex","columns","rows"}],"rowCount","duration","changes",…}`; a failure is
/// `{"queryId","error","code",…}`. Bounded: rows beyond ``HTTPLimits/maxDocumentBytes`` are left out, and the document contains
/// `truncated`.
///
/// `@unchecked Sendable`: the query service makes one call at a time and orders them.
final class QueryDocument: QuerySink, @unchecked Sendable {
    private let events: QueryEvents
    private let rowFormat: QueryRequest.RowFormat
    private let maxBytes: Int
    private let onEnd: @Sendable (QueryEnding, [UInt8]) -> Void

    private var writer = JSONWriter(capacityBytes: 16 << 10)
    private var rows: RowEncoder?
    private var isTruncated = false

    /// - Parameter onEnd: called once, on the query's thread, with the document.
    init(
        _ events: QueryEvents,
        rowFormat: QueryRequest.RowFormat,
        maxBytes: Int,
        onEnd: @escaping @Sendable (QueryEnding, [UInt8]) -> Void
    ) {
        self.events = events
        self.rowFormat = rowFormat
        self.maxBytes = maxBytes
        self.onEnd = onEnd
        writer.beginObject()
        writer.field("queryId", events.queryID)
        writer.key("results")
        writer.beginArray()
    }

    var isWritable: Bool { true }

    func started(readOnly: Bool) { _ = events.started(readOnly: readOnly) }

    func columns(statementIndex: Int, names: [String]) {
        endResult()
        let rows = RowEncoder(columns: names, format: rowFormat)
        self.rows = rows
        writer.beginObject()
        writer.field("statementIndex", statementIndex)
        writer.field("columns", rows.columns)
        writer.key("rows")
        writer.beginArray()
    }

    func row(_ statement: borrowing Statement) -> Int {
        guard writer.count < maxBytes else {
            isTruncated = true
            return 0
        }
        let before = writer.count
        rows?.write(statement, to: &writer)
        return writer.count - before
    }

    /// The document of a failed query contains no rows.
    func takeBackRow() {}

    func endOfBatch() {}

    func progress(_ progress: QueryProgress) { _ = events.progress(progress) }

    func completed(_ outcome: QueryOutcome) {
        var outcome = outcome
        outcome.truncated = outcome.truncated || isTruncated
        _ = events.completed(outcome)
        endResult()
        writer.endArray()
        QueryCompletePayload(queryID: events.queryID, outcome).writeFields(to: &writer)
        writer.endObject()
        onEnd(.completed, writer.bytes)
    }

    func failed(_ failure: QueryFailure) {
        _ = events.failed(failure)
        let data = QueryErrorPayload(queryID: events.queryID, failure)
        var document = JSONWriter()
        data.write(to: &document)
        onEnd(.failed(data.code, retryAfter: data.retryAfter), document.bytes)
    }

    func cancelled(_ cancellation: QueryCancellation) {
        _ = events.cancelled(cancellation)
        let reason = QueryCancelledPayload.Reason(cancellation.reason)
        let data = QueryErrorPayload(
            queryID: events.queryID,
            error: "the query was cancelled: \(reason.rawValue)",
            code: .interrupted,
            position: Position(receipt: cancellation.receipt)
        )
        var document = JSONWriter()
        data.write(to: &document)
        onEnd(.cancelled(reason), document.bytes)
    }

    private func endResult() {
        guard rows != nil else { return }
        rows = nil
        writer.endArray()
        writer.endObject()
    }
}
