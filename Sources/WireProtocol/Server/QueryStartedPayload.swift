/// `query:started`.
public struct QueryStartedPayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var sql: String
    public var userID: String
    public var username: String?
    public var database: String?
    /// Whether no statement of the query can write.
    public var isReadOnly: Bool?

    public init(
        queryID: String,
        sql: String,
        userID: String,
        username: String? = nil,
        database: String? = nil,
        isReadOnly: Bool? = nil
    ) {
        self.queryID = queryID
        self.sql = sql
        self.userID = userID
        self.username = username
        self.database = database
        self.isReadOnly = isReadOnly
    }

    private enum CodingKeys: String, CodingKey {
        case queryID = "queryId"
        case sql
        case userID = "userId"
        case username
        case database
        case isReadOnly = "readOnly"
    }
}

extension QueryStartedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("queryId", queryID)
        writer.field("sql", sql)
        writer.field("userId", userID)
        writer.field("username", username)
        writer.field("database", database)
        writer.field("readOnly", isReadOnly)
        writer.endObject()
    }
}
