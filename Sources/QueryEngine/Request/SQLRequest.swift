package import SQLiteConnection

/// A request to run SQL: a statement or a script.
package struct SQLRequest: Sendable {
    /// Unique among the queries that wait or run; a client that knows it can receive its progress, and cancel it.
    package var queryId: String
    package var sql: String
    /// A row to write instead of running the SQL, which then only describes the write.
    package var rowWrite: RowWrite?
    package var parameters: QueryParameters
    /// The maximum number of rows delivered, over all statements; ``QueryLimits/maxRows`` bounds it. Nil for that
    /// limit.
    package var maxRows: Int?
    /// How long the query may wait and run; ``QueryLimits/maxStatementTime`` bounds it. Nil for
    /// ``QueryLimits/statementTime``. Time in which the receiver does not read is not counted.
    package var timeout: Duration?
    /// The minimum time between two progress reports. Nil for ``QueryLimits/progressInterval``.
    package var progressInterval: Duration?
    /// A script of several statements is one transaction: all of it or nothing. Otherwise each statement is a
    /// transaction of its own.
    ///
    /// A script with BEGIN, COMMIT, SAVEPOINT and the like runs as written; when it fails, a transaction that it began
    /// is rolled back if it was to be atomic, and otherwise stays as SQLite leaves it.
    package var atomic: Bool
    /// Whether a transaction that it begins may remain open after it. Over HTTP, where there is no session, it is
    /// rolled back and the query fails with `TRANSACTION_LEFT_OPEN`.
    package var allowsOpenTransaction: Bool
    package var policy: SQLPolicy
    /// The user to whom its commits are attributed.
    package var userId: String?
    package var username: String?
    /// The owner that may cancel it; several clients can have the same owner.
    package var owner: String?
    /// The identity whose share of the queue it uses, over any number of clients; nil for a share of the client's own.
    package var identity: String?

    package init(
        queryId: String,
        sql: String,
        rowWrite: RowWrite? = nil,
        parameters: QueryParameters = .none,
        maxRows: Int? = nil,
        timeout: Duration? = nil,
        progressInterval: Duration? = nil,
        atomic: Bool = true,
        allowsOpenTransaction: Bool = true,
        policy: SQLPolicy = .readWrite,
        userId: String? = nil,
        username: String? = nil,
        owner: String? = nil,
        identity: String? = nil
    ) {
        self.queryId = queryId
        self.sql = sql
        self.rowWrite = rowWrite
        self.parameters = parameters
        self.maxRows = maxRows
        self.timeout = timeout
        self.progressInterval = progressInterval
        self.atomic = atomic
        self.allowsOpenTransaction = allowsOpenTransaction
        self.policy = policy
        self.userId = userId
        self.username = username
        self.owner = owner
        self.identity = identity
    }
}

/// The values of a request's parameters; error messages name parameters and never contain values.
///
/// Source: [Parameters](https://sqlite.org/lang_expr.html#varparam).
package enum QueryParameters: Sendable {
    case none
    /// The first value is for `?` or `?1`, and so on. The statements of a script take them one after the other, each as
    /// many as it has parameters.
    case positional([SQLiteValue])
    /// Names with or without their prefix `:`, `@` or `$`; `"1"` or `"?1"` for `?1`. All statements of a script share them.
    case named([(name: String, value: SQLiteValue)])
}

/// The client of a query: one WebSocket connection, or one HTTP request. A transaction belongs to the client that began
/// it. Never reused during the life of a service.
package struct ClientKey: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init(_ rawValue: String) { self.rawValue = rawValue }

    package var description: String { rawValue }
}
