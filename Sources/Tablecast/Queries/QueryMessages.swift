import QueryService
import SQLiteConnection
import WireProtocol

/// Turns what a query does into `query:*` messages, its rows among them.
///
/// `@unchecked Sendable`: the query service makes one call at a time and orders them, so the state needs no lock of its
/// own; a lock for every row would cost more than its encoding.
final class QueryMessages: QuerySink, @unchecked Sendable {
    private let events: QueryEvents
    private let rowFormat: WireProtocol.QueryRequest.RowFormat
    private let output: any QueryOutput

    /// Grows to the size of a batch when there are so many rows; most queries have one.
    private var writer = JSONWriter(capacityBytes: 2 << 10)
    private var rows: RowEncoder?
    private var statementIndex = 0
    /// Rows of the statement that were sent in messages before the one that is being written.
    private var sentRows = 0
    private var rowsInMessage = 0
    /// Where the last row begins in the message.
    private var rowStart = 0

    init(_ events: QueryEvents, rowFormat: WireProtocol.QueryRequest.RowFormat, output: any QueryOutput) {
        self.events = events
        self.rowFormat = rowFormat
        self.output = output
    }

    var isWritable: Bool { output.isWritable }

    func started(readOnly: Bool) {
        output.send(event: events.started(readOnly: readOnly))
    }

    func columns(statementIndex: Int, names: [String]) {
        flushRows()
        self.statementIndex = statementIndex
        sentRows = 0
        rows = RowEncoder(columns: names, format: rowFormat)
        // An empty result has columns too, and the message says which.
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

    func endOfBatch() { flushRows() }

    func progress(_ progress: QueryProgress) {
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

    func cancelled(_ reason: CancelReason, rowCount: Int, duration: Duration, inTransaction: Bool?) {
        flushRows()
        let event = events.cancelled(
            reason,
            rowCount: rowCount,
            duration: duration,
            inTransaction: inTransaction
        )
        output.send(event: event)
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
