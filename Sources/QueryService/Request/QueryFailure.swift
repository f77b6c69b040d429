package import SQLiteConnection

/// Why a query failed.
package struct QueryFailure: Error, Sendable, Hashable {
    /// The protocol's error codes; the raw values go over the wire.
    package enum Code: String, Sendable, Hashable {
        case invalidMessage = "INVALID_MESSAGE"
        case queryIdInUse = "QUERY_ID_IN_USE"
        case tooManyQueries = "TOO_MANY_QUERIES"
        case sqlError = "SQL_ERROR"
        case constraint = "CONSTRAINT"
        /// The row is something else by now than its writer has seen.
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
    /// Where in the request's SQL the error is, in UTF-8 bytes, where that is known.
    package var offset: Int?
    /// Which statement of the script failed, from 0.
    package var statementIndex: Int?
    /// Rows delivered before it failed.
    package var rowCount = 0
    /// Whether the client's transaction is open still; false when it was open and SQLite rolled it back. Nil where there was
    /// none.
    package var inTransaction: Bool?

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

    /// The same of a statement of a script.
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
