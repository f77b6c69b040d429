/// `snapshot:end`: every table of a snapshot has come. Only from here on may the position be used as `since`.
public struct SnapshotEndPayload: Sendable, Hashable, Codable {
    /// A table that the service cannot read.
    public struct UnreadableTable: Sendable, Hashable, Codable {
        public var table: String
        /// What SQLite says, such as `no such collation sequence: unicase`.
        public var error: String

        public init(table: String, error: String) {
            self.table = table
            self.error = error
        }
    }

    public var subscription: String?
    /// Those that have come whole.
    public var tables: [String]
    /// Those whose rows are missing. Their changes follow all the same.
    public var unreadable: [UnreadableTable]
    /// Of the rows; what was committed after it follows.
    public var position: Position

    public init(
        subscription: String?,
        tables: [String],
        unreadable: [UnreadableTable] = [],
        position: Position
    ) {
        self.subscription = subscription
        self.tables = tables
        self.unreadable = unreadable
        self.position = position
    }
}

extension SnapshotEndPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("subscription", subscription)
        writer.field("tables", tables)
        writer.field("unreadable", unreadable)
        writer.field("position", position)
        writer.endObject()
    }
}

extension SnapshotEndPayload.UnreadableTable: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("table", table)
        writer.field("error", error)
        writer.endObject()
    }
}
