/// `query:cancelled`: the query was stopped before its end.
public struct QueryCancelledPayload: Sendable, Hashable, Codable {
    public enum Reason: String, Sendable, Hashable, Codable {
        case client
        case timeout
        /// The client that asked for it went away.
        case disconnect
        case shutdown
    }

    public var queryID: String
    public var reason: Reason
    /// Rows that were sent before.
    public var rowCount: Int
    /// Milliseconds.
    public var duration: Int64
    /// Whether the connection's transaction is open still; nil where it had none.
    public var isInTransaction: Bool?

    public init(queryID: String, reason: Reason, rowCount: Int, duration: Int64, isInTransaction: Bool? = nil) {
        self.queryID = queryID
        self.reason = reason
        self.rowCount = rowCount
        self.duration = duration
        self.isInTransaction = isInTransaction
    }

    private enum CodingKeys: String, CodingKey {
        case queryID = "queryId"
        case reason
        case rowCount
        case duration
        case isInTransaction = "inTransaction"
    }
}

extension QueryCancelledPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("queryId", queryID)
        writer.field("reason", reason.rawValue)
        writer.field("rowCount", rowCount)
        writer.field("duration", duration)
        writer.field("inTransaction", isInTransaction)
        writer.endObject()
    }
}
