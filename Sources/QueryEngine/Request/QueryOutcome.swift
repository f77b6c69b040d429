package import SQLiteConnection

/// The result of a query that ran to its end.
package struct QueryOutcome: Sendable {
    /// Rows delivered, over all statements.
    package var rowCount: Int
    /// The time from submission to the end.
    package var duration: Duration
    /// Rows that its INSERT, UPDATE and DELETE statements changed themselves, without those of triggers or foreign
    /// keys.
    package var changes: Int64
    /// The rowid of the last row inserted, when a statement inserted one.
    package var lastInsertRowid: Int64?
    /// Rows beyond the limits were left out.
    package var truncated: Bool
    /// The position from the ``CommitSink``'s receipt for the query's last commit; nil when it made none.
    package var receipt: String?
    /// Whether the client has an open transaction.
    package var inTransaction: Bool
}

/// Why a query failed.
package struct QueryFailure: Error, Sendable, Hashable {
    /// The protocol's error codes; the raw values are sent to clients.
    package enum Code: String, Sendable, Hashable {
        case invalidMessage = "INVALID_MESSAGE"
        case queryIdInUse = "QUERY_ID_IN_USE"
        case tooManyQueries = "TOO_MANY_QUERIES"
        /// The identity has used the time of its queries.
        case rateLimited = "RATE_LIMITED"
        case sqlError = "SQL_ERROR"
        case constraint = "CONSTRAINT"
        /// The row has changed since its writer read it.
        case conflict = "CONFLICT"
        case busy = "BUSY"
        case readOnly = "READ_ONLY"
        case notAuthorized = "NOT_AUTHORIZED"
        case interrupted = "INTERRUPTED"
        case tooBig = "TOO_BIG"
        case transactionLeftOpen = "TRANSACTION_LEFT_OPEN"
        case transactionTimedOut = "TRANSACTION_TIMED_OUT"
        case transactionRolledBack = "TRANSACTION_ROLLED_BACK"
        case databaseGone = "DATABASE_GONE"
        case databaseError = "DB_ERROR"
        case `internal` = "INTERNAL"
    }

    package var code: Code
    package var message: String
    /// SQLite's extended result code, when SQLite reported the failure.
    package var sqliteCode: Int32?
    /// The position of the error in the request's SQL in UTF-8 bytes, when it is known.
    package var offset: Int?
    /// The index of the failed statement in the script, from 0.
    package var statementIndex: Int?
    /// Rows delivered before the failure.
    package var rowCount = 0
    /// When to try again, if it is a matter of time.
    package var retryAfter: Duration?
    /// Whether the client's transaction is still open; false when it was open and SQLite rolled it back. Nil when there
    /// was none.
    package var inTransaction: Bool?
    /// The position of what the query committed before the failure, as in ``QueryOutcome/receipt``.
    package var receipt: String?

    package init(
        _ code: Code,
        _ message: String,
        sqliteCode: Int32? = nil,
        offset: Int? = nil,
        statementIndex: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.sqliteCode = sqliteCode
        self.offset = offset
        self.statementIndex = statementIndex
    }

    /// The query has run and committed; then the write-ahead log could not be synced.
    init(unsynced outcome: QueryOutcome, at position: String?, _ error: SQLiteError) {
        self.init(
            .databaseError,
            "committed\(position.map { " at position \($0)" } ?? ""), durability unknown: \(error.message)",
            sqliteCode: error.code.rawValue
        )
        rowCount = outcome.rowCount
        inTransaction = outcome.inTransaction ? true : nil
        receipt = position
    }

    /// The same failure of a script that has committed before.
    func noting(_ commit: PublishedCommit) -> QueryFailure {
        var failure = self
        failure.receipt = commit.position
        guard let syncFailure = commit.syncFailure else { return failure }
        failure.message += "; what it committed before, durability unknown: \(syncFailure.message)"
        return failure
    }

    /// The same failure, located in a statement of a script.
    func located(_ statementIndex: Int, _ offset: Int?) -> QueryFailure {
        var failure = self
        failure.statementIndex = statementIndex
        failure.offset = offset
        return failure
    }

    package init(_ error: SQLiteError, statementIndex: Int? = nil) {
        self.init(
            Code(error.code),
            error.message,
            sqliteCode: error.code.rawValue,
            offset: error.offset,
            statementIndex: statementIndex
        )
    }
}

extension QueryFailure.Code {
    init(_ code: ResultCode) {
        self =
            switch code {
            case .readOnlyDatabaseMoved: .databaseGone
            default:
                switch code.primary {
                case .constraint: .constraint
                case .busy, .locked: .busy
                case .readOnly: .readOnly
                case .auth: .notAuthorized
                case .interrupt: .interrupted
                case .tooBig: .tooBig
                case .cantOpen, .notADatabase: .databaseGone
                case .error, .mismatch, .range, .schema, .misuse: .sqlError
                default: .databaseError
                }
            }
    }
}

/// A query that was stopped before its end.
package struct QueryCancellation: Sendable, Hashable {
    package var reason: CancelReason
    /// Rows delivered before.
    package var rowCount: Int
    /// The time from submission to the end.
    package var duration: Duration
    /// As in ``QueryFailure/inTransaction``.
    package var inTransaction: Bool?
    /// The position of what the query committed before, as in ``QueryOutcome/receipt``.
    package var receipt: String?
}

/// Why a query was cancelled; the raw values are the protocol's.
package enum CancelReason: String, Sendable, Hashable {
    case client
    case timeout
    case disconnect
    case shutdown
}
