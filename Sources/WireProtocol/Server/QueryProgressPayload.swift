/// `query:progress`: how far a running query is.
public struct QueryProgressPayload: Sendable, Hashable, Codable {
    public var queryID: String
    /// 0 to 100; nil when there is no honest estimate.
    public var progress: Double?
    public var message: String
    /// Rows so far.
    public var rowCount: Int
    /// Milliseconds.
    public var elapsed: Int64
    /// Rows that a scan is expected to visit.
    public var estimatedTotal: Int?

    public init(
        queryID: String,
        progress: Double? = nil,
        message: String,
        rowCount: Int,
        elapsed: Int64,
        estimatedTotal: Int? = nil
    ) {
        self.queryID = queryID
        self.progress = progress
        self.message = message
        self.rowCount = rowCount
        self.elapsed = elapsed
        self.estimatedTotal = estimatedTotal
    }

    private enum CodingKeys: String, CodingKey {
        case queryID = "queryId"
        case progress
        case message
        case rowCount
        case elapsed
        case estimatedTotal
    }
}

extension QueryProgressPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("queryId", queryID)
        writer.field("progress", progress)
        writer.field("message", message)
        writer.field("rowCount", rowCount)
        writer.field("elapsed", elapsed)
        writer.field("estimatedTotal", estimatedTotal)
        writer.endObject()
    }
}
