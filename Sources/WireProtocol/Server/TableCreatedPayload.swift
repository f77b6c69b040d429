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
        timestamp: Int64,
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
        case tableName, timestamp, objectType, sql, columns
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tableName = try container.decode(String.self, forKey: .tableName)
        timestamp = try container.decode(Int64.self, forKey: .timestamp)
        objectType = try container.decodeIfPresent(TableObjectType.self, forKey: .objectType)
        sql = try container.decodeIfPresent(String.self, forKey: .sql)
        columns = try container.decodeIfPresent([ColumnPayload].self, forKey: .columns)
        context = try TableEventContext(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(tableName, forKey: .tableName)
        try container.encode(timestamp, forKey: .timestamp)
        try container.encodeIfPresent(objectType, forKey: .objectType)
        try container.encodeIfPresent(sql, forKey: .sql)
        try container.encodeIfPresent(columns, forKey: .columns)
        try context.encode(to: encoder)
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
