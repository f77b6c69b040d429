/// `query:error`: the query failed.
public struct QueryErrorPayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var error: String
    public var code: ErrorCode
    /// SQLite's [extended result code](https://sqlite.org/rescode.html).
    public var sqliteCode: Int?
    /// The byte of the SQL at which the error is.
    public var sqlOffset: Int?
    /// Which statement of the SQL failed, counted from zero.
    public var statementIndex: Int?
    /// Whether the connection's transaction is open still; nil where it had none.
    public var isInTransaction: Bool?

    public init(
        queryID: String,
        error: String,
        code: ErrorCode,
        sqliteCode: Int? = nil,
        sqlOffset: Int? = nil,
        statementIndex: Int? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.queryID = queryID
        self.error = error
        self.code = code
        self.sqliteCode = sqliteCode
        self.sqlOffset = sqlOffset
        self.statementIndex = statementIndex
        self.isInTransaction = isInTransaction
    }

    private enum CodingKeys: String, CodingKey {
        case queryID = "queryId"
        case error
        case code
        case sqliteCode
        case sqlOffset
        case statementIndex
        case isInTransaction = "inTransaction"
    }
}

extension QueryErrorPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("queryId", queryID)
        writer.field("error", error)
        writer.field("code", code.rawValue)
        writer.field("sqliteCode", sqliteCode)
        writer.field("sqlOffset", sqlOffset)
        writer.field("statementIndex", statementIndex)
        writer.field("inTransaction", isInTransaction)
        writer.endObject()
    }
}
