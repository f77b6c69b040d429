import QueryService
import SQLiteConnection
import WireProtocol

// What the query service says, in the words of the wire.

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
    /// What the feed promised for a commit; nil where there was none.
    init?(receipt: String?) {
        // The feed wrote it, so that it always parses.
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
    init(_ parameters: WireProtocol.QueryRequest.Parameters) {
        self =
            switch parameters {
            case .none: .none
            case .positional(let values): .positional(values.map { SQLiteValue($0) })
            case .named(let values): .named(values.map { (name: $0.key, value: SQLiteValue($0.value)) })
            }
    }
}
