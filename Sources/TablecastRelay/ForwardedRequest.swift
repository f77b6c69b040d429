import Broadcast
import QueryEngine
import WireProtocol

/// A request of a client that can be part of a transaction at the source: `query:execute` or `row:write`.
struct ForwardedRequest {
    private enum Kind {
        case query
        case row(table: String)
    }

    var id: String?
    private let queryID: String?
    private let kind: Kind
    /// It begins with BEGIN.
    let begins: Bool
    /// It contains COMMIT or ROLLBACK.
    let ends: Bool
    /// It contains COMMIT, ROLLBACK, or RELEASE, which commits at the outermost savepoint.
    let mayEnd: Bool
    /// A transaction can be open when it has run.
    let mayLeaveOpen: Bool

    /// Nil for a request that is never part of a transaction.
    init?(_ message: ClientMessage) {
        id = message.id
        let outline: ScriptOutline
        switch message.body {
        case .executeQuery(let query):
            (kind, queryID, outline) = (.query, query.queryID, ScriptOutline(query.sql))
        case .writeRow(let write):
            (kind, queryID, outline) = (.row(table: write.table), write.queryID, ScriptOutline(""))
        default:
            return nil
        }
        begins = outline.begins
        ends = outline.ends
        mayEnd = outline.mayEndTransaction
        mayLeaveOpen = outline.mayLeaveTransactionOpen
    }

    /// The answer of the source to a request that failed in or behind a transaction.
    ///
    /// - Parameter inTransaction: false when it was part of the transaction, nil when it came later.
    func failed(_ error: ProtocolError, inTransaction: Bool?) -> EncodedMessage {
        let queryID = queryID ?? id ?? ""
        switch kind {
        case .query:
            let payload = QueryErrorPayload(
                queryID: queryID,
                error: error.message,
                code: error.code,
                isInTransaction: inTransaction
            )
            return EncodedMessage(EnvelopeHeader(.queryError, channel: .queries, replyTo: id), payload)
        case .row(let table):
            let failure = RowWriteFailure(queryID: queryID, tableName: table, isInTransaction: inTransaction)
            let details = JSONValue.object(failure.fields(code: error.code))
            let payload = ErrorPayload(message: error.message, code: error.code, details: details)
            return EncodedMessage(EnvelopeHeader(.error, channel: .notifications, replyTo: id), payload)
        }
    }
}
