/// `table:dropped`.
public struct TableDroppedPayload: Sendable, Hashable {
    public var tableName: String
    /// Unix milliseconds of the commit.
    public var timestamp: Int64
    public var objectType: TableObjectType?
    public var context: TableEventContext

    public init(
        tableName: String,
        timestamp: Int64 = UnixTime.milliseconds,
        objectType: TableObjectType? = nil,
        context: TableEventContext = TableEventContext()
    ) {
        self.tableName = tableName
        self.timestamp = timestamp
        self.objectType = objectType
        self.context = context
    }
}

extension TableDroppedPayload: Codable {
    private enum CodingKeys: CodingKey {
        case tableName, timestamp, objectType
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tableName = try container.decode(String.self, forKey: .tableName)
        timestamp = try container.decode(Int64.self, forKey: .timestamp)
        objectType = try container.decodeIfPresent(TableObjectType.self, forKey: .objectType)
        context = try TableEventContext(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(tableName, forKey: .tableName)
        try container.encode(timestamp, forKey: .timestamp)
        try container.encodeIfPresent(objectType, forKey: .objectType)
        try context.encode(to: encoder)
    }
}

extension TableDroppedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("tableName", tableName)
        writer.field("timestamp", timestamp)
        writer.field("objectType", objectType?.rawValue)
        writer.fields(context)
        writer.endObject()
    }
}
