/// `query:complete`.
public struct QueryCompletePayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var rowCount: Int
    /// Milliseconds.
    public var duration: Int64
    /// Rows inserted, updated and deleted by the statements themselves.
    public var changes: Int
    public var lastInsertRowID: Int64? {
        get { lastRowid?.value }
        set { lastRowid = newValue.map(WireInteger.init) }
    }
    /// Rows were left out because of a limit.
    public var isTruncated: Bool?
    /// The transaction that the query committed.
    public var position: Position?
    /// The connection has a transaction open after the query.
    public var isInTransaction: Bool?

    private var lastRowid: WireInteger?

    public init(
        queryID: String,
        rowCount: Int,
        duration: Int64,
        changes: Int,
        lastInsertRowID: Int64? = nil,
        isTruncated: Bool? = nil,
        position: Position? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.queryID = queryID
        self.rowCount = rowCount
        self.duration = duration
        self.changes = changes
        self.lastInsertRowID = lastInsertRowID
        self.isTruncated = isTruncated
        self.position = position
        self.isInTransaction = isInTransaction
    }

    private enum CodingKeys: String, CodingKey {
        case queryID = "queryId"
        case rowCount
        case duration
        case changes
        case lastRowid = "lastInsertRowid"
        case isTruncated = "truncated"
        case position
        case isInTransaction = "inTransaction"
    }
}

extension QueryCompletePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("queryId", queryID)
        writeFields(to: &writer)
        writer.endObject()
    }

    /// All but the query's id, within an object that is open.
    package func writeFields(to writer: inout JSONWriter) {
        writer.field("rowCount", rowCount)
        writer.field("duration", duration)
        writer.field("changes", changes)
        writer.field("lastInsertRowid", integer: lastInsertRowID)
        writer.field("truncated", isTruncated)
        writer.field("position", position)
        writer.field("inTransaction", isInTransaction)
    }
}
