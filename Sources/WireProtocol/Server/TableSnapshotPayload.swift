/// `table:snapshot`: some of a table's rows as of the message's position.
public struct TableSnapshotPayload: Sendable, Hashable, Codable {
    /// The id of the subscription that the snapshot is for.
    public var subscription: String?
    public var tableName: String
    /// The names of the columns.
    public var columns: [String]
    /// The columns that identify a row, by which changes name it; nil where `rowids` do.
    public var key: [String]?
    public var rows: [WireRow]
    /// The table has no more rows.
    public var isLast: Bool
    /// The rowid of each row, in a table that has one: the name of the row in changes, where no other key identifies it.
    public var rowids: [Int64]? {
        get { wireRowids?.map(\.value) }
        set { wireRowids = newValue?.map(WireInteger.init) }
    }

    private var wireRowids: [WireInteger]?

    public init(
        subscription: String? = nil,
        tableName: String,
        columns: [String],
        key: [String]? = nil,
        rows: [WireRow],
        isLast: Bool,
        rowids: [Int64]? = nil
    ) {
        self.subscription = subscription
        self.tableName = tableName
        self.columns = columns
        self.key = key
        self.rows = rows
        self.isLast = isLast
        self.rowids = rowids
    }

    private enum CodingKeys: String, CodingKey {
        case subscription
        case tableName
        case columns
        case key
        case rows
        case isLast = "last"
        case wireRowids = "rowids"
    }

    /// Writes everything up to the elements of `rows`, which come next; then ``endWriting(to:isLast:)``.
    package static func beginWriting(
        to writer: inout JSONWriter,
        subscription: String?,
        tableName: String,
        columns: [String],
        key: [String]?
    ) {
        writer.beginObject()
        writer.field("subscription", subscription)
        writer.field("tableName", tableName)
        writer.field("columns", columns)
        writer.field("key", key)
        writer.key("rows")
        writer.beginArray()
    }

    package static func endWriting(to writer: inout JSONWriter, isLast: Bool, rowids: [Int64]? = nil) {
        writer.endArray()
        if let rowids {
            writer.key("rowids")
            writer.beginArray()
            for rowid in rowids { writer.integer(rowid) }
            writer.endArray()
        }
        writer.field("last", isLast)
        writer.endObject()
    }
}

extension TableSnapshotPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        Self.beginWriting(to: &writer, subscription: subscription, tableName: tableName, columns: columns, key: key)
        for row in rows { writer.row(row) }
        Self.endWriting(to: &writer, isLast: isLast, rowids: rowids)
    }
}
