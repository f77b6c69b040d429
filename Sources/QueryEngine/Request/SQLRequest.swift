package import SQLiteConnection

/// One request to run SQL: a statement or a script.
package struct SQLRequest: Sendable {
    /// Unique among the queries that wait or run; anybody who knows it can be told about it, and cancel by it.
    package var queryId: String
    package var sql: String
    /// Written in place of the SQL, which then says only what is written.
    package var rowWrite: RowWrite?
    package var parameters: QueryParameters
    /// Rows that are delivered at most, over all statements; ``QueryLimits/maxRows`` bounds it. Nil for that bound.
    package var maxRows: Int?
    /// How long it may wait and run; ``QueryLimits/maxStatementTime`` bounds it. Nil for ``QueryLimits/statementTime``. Time
    /// in which the receiver does not read is not counted.
    package var timeout: Duration?
    /// The least time between two reports of progress. Nil for ``QueryLimits/progressInterval``.
    package var progressInterval: Duration?
    /// A script of several statements is one transaction: all of it or nothing. Otherwise each statement is its own.
    ///
    /// A script that says BEGIN, COMMIT, SAVEPOINT and the like is run as it is written; when it fails, a transaction that
    /// it began is rolled back if it was to be atomic, and left as SQLite leaves it if not.
    package var atomic: Bool
    /// Whether the transaction that it begins may outlive it. Over HTTP, where there is no session, it is rolled back and
    /// the query fails with `TRANSACTION_LEFT_OPEN`.
    package var allowsOpenTransaction: Bool
    package var policy: SQLPolicy
    /// Whom its commits are attributed to.
    package var userId: String?
    package var username: String?
    /// Whoever may cancel it; several clients can be of one owner.
    package var owner: String?
    /// Whose share of the queue it takes, over however many clients; nil for one of its client's own.
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

/// The values for a request's parameters; the descriptions of errors name parameters and never show values.
///
/// Source: [Parameters](https://sqlite.org/lang_expr.html#varparam).
package enum QueryParameters: Sendable {
    case none
    /// The first value is for `?` or `?1`, and so on. A script's statements take them one after the other, each as many as
    /// it has.
    case positional([SQLiteValue])
    /// Names with or without their prefix `:`, `@` or `$`; `"1"` or `"?1"` for `?1`. All statements of a script share them.
    case named([(name: String, value: SQLiteValue)])
}

/// Who a query belongs to: one WebSocket connection, or one HTTP request. A transaction belongs to the client that began
/// it. Never used twice within the life of a service.
package struct ClientKey: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init(_ rawValue: String) { self.rawValue = rawValue }

    package var description: String { rawValue }
}
