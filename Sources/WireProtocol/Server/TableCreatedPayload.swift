/// `table:created`.
public struct TableCreatedPayload: Sendable, Hashable {
    public var tableName: String
    /// Unix milliseconds of the commit.
    public var timestamp: Int64
    public var objectType: TableObjectType?
    /// The `CREATE` statement.
    public var sql: String?
    public var columns: [ColumnPayload]?
    public var context: TableEventContext

    public init(
        tableName: String,
        timestamp: Int64 = UnixTime.milliseconds,
        objectType: TableObjectType? = nil,
        sql: String? = nil,
        columns: [ColumnPayload]? = nil,
        context: TableEventContext = TableEventContext()
    ) {
        self.tableName = tableName
        self.timestamp = timestamp
        self.objectType = objectType
        self.sql = sql
        self.columns = columns
        self.context = context
    }
}

/// What kind of thing a table event is about.
public enum TableObjectType: String, Sendable, Hashable, Codable {
    case table
    case view
    case virtual
}

extension TableCreatedPayload: Codable {
    private enum CodingKeys: CodingKey {
        case sql, columns
    }

    public init(from decoder: any Decoder) throws {
        let event = try TableDroppedPayload(from: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            tableName: event.tableName,
            timestamp: event.timestamp,
            objectType: event.objectType,
            sql: try container.decodeIfPresent(String.self, forKey: .sql),
            columns: try container.decodeIfPresent([ColumnPayload].self, forKey: .columns),
            context: event.context
        )
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(sql, forKey: .sql)
        try container.encodeIfPresent(columns, forKey: .columns)
        try withoutDefinition.encode(to: encoder)
    }

    /// What both events say of a table: a table that is dropped has all but its definition.
    private var withoutDefinition: TableDroppedPayload {
        TableDroppedPayload(tableName: tableName, timestamp: timestamp, objectType: objectType, context: context)
    }
}

extension TableCreatedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("tableName", tableName)
        writer.field("timestamp", timestamp)
        writer.field("objectType", objectType?.rawValue)
        writer.field("sql", sql)
        writer.field("columns", columns)
        writer.fields(context)
        writer.endObject()
    }
}
