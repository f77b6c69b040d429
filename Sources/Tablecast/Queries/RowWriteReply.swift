import Broadcast
import QueryEngine
import SQLiteConnection
package import WireProtocol

/// The outcome of a row write, for its requester.
package enum RowWriteAnswer: Sendable {
    case written(RowWrittenPayload)
    case failed(code: ErrorCode, message: String, RowWriteFailure)

    func message(replyTo: String?) -> EncodedMessage {
        switch self {
        case .written(let payload):
            return EncodedMessage(EnvelopeHeader(.rowWritten, channel: .queries, replyTo: replyTo), payload)
        case .failed(let code, let message, let failure):
            let details = JSONValue.object(failure.fields(code: code))
            let header = EnvelopeHeader(.error, channel: .notifications, replyTo: replyTo)
            return EncodedMessage(header, ErrorPayload(message: message, code: code, details: details))
        }
    }

    /// The body of the response to `POST /row`.
    package var json: [UInt8] {
        var writer = JSONWriter()
        switch self {
        case .written(let payload):
            payload.write(to: &writer)
        case .failed(let code, let message, let failure):
            var fields = failure.fields(code: code)
            fields["error"] = .string(message)
            fields["code"] = .string(code.rawValue)
            writer.value(.object(fields))
        }
        return writer.bytes
    }
}

/// Collects the outcome of one row write, and answers once. Other subscribers of `queries` receive its `query:*`
/// messages.
///
/// `@unchecked Sendable`: the query service makes one call at a time and orders them.
final class RowWriteReply: QuerySink, @unchecked Sendable {
    private let events: QueryEvents
    private let write: RowWrite
    private let answer: @Sendable (RowWriteAnswer) -> Void
    private var image: RowImage?

    /// - Parameter answer: called once, on the query's thread.
    init(_ events: QueryEvents, _ write: RowWrite, answer: @escaping @Sendable (RowWriteAnswer) -> Void) {
        self.events = events
        self.write = write
        self.answer = answer
    }

    var isWritable: Bool { true }

    func started(readOnly: Bool) { _ = events.started(readOnly: readOnly) }

    func row(_ image: RowImage) { self.image = image }

    // The only result is the row itself.
    func columns(statementIndex: Int, names: [String]) {}
    func row(_ statement: borrowing Statement) -> Int { 0 }
    func takeBackRow() {}
    func endOfBatch() {}

    func progress(_ progress: QueryProgress) { _ = events.progress(progress) }

    func completed(_ outcome: QueryOutcome) {
        _ = events.completed(outcome)
        answer(
            .written(
                RowWrittenPayload(
                    queryID: events.queryID,
                    tableName: write.table,
                    operation: .init(write.operation),
                    row: row,
                    rowid: image?.rowid,
                    changes: Int(clamping: outcome.changes),
                    duration: outcome.duration.milliseconds,
                    // A receipt that is not a position is useless to a client.
                    position: outcome.receipt.flatMap { try? Position(parsing: $0) },
                    isInTransaction: outcome.inTransaction ? true : nil
                )
            )
        )
    }

    func failed(_ failure: QueryFailure) {
        _ = events.failed(failure)
        answer(
            .failed(
                code: ErrorCode(rawValue: failure.code.rawValue),
                message: failure.message,
                RowWriteFailure(
                    queryID: events.queryID,
                    tableName: write.table,
                    row: row,
                    rowid: image?.rowid,
                    sqliteCode: failure.sqliteCode.map { Int($0) },
                    retryAfter: failure.retryAfter.map { Int($0 / .milliseconds(1)) },
                    isInTransaction: failure.inTransaction
                )
            )
        )
    }

    func cancelled(_ cancellation: QueryCancellation) {
        _ = events.cancelled(cancellation)
        answer(
            .failed(
                code: .interrupted,
                message: "the write was cancelled: \(cancellation.reason.rawValue)",
                RowWriteFailure(
                    queryID: events.queryID,
                    tableName: write.table,
                    isInTransaction: cancellation.inTransaction
                )
            )
        )
    }

    private var row: [String: WireValue]? {
        image.map { image in
            Dictionary(image.cells.map { ($0.column, WireValue($0.value)) }) { first, _ in first }
        }
    }
}

extension RowWriteRequest.Operation {
    fileprivate init(_ operation: RowWrite.Operation) {
        self =
            switch operation {
            case .insert: .insert
            case .update: .update
            case .delete: .delete
            }
    }
}

extension RowWrite {
    init(_ request: RowWriteRequest) {
        func cells(_ values: [String: WireValue]) -> [Cell] {
            values.sorted { $0.key < $1.key }.map { Cell($0.key, SQLiteValue($0.value)) }
        }
        let operation: Operation =
            switch request.operation {
            case .insert: .insert
            case .update: .update
            case .delete: .delete
            }
        self.init(
            operation,
            table: request.table,
            rowid: request.rowid,
            key: cells(request.key),
            before: cells(request.before),
            values: cells(request.values)
        )
    }
}
