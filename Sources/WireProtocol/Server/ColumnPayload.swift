/// A column of a table, as `columns` of the table events lists it.
public struct ColumnPayload: Sendable, Hashable, Codable {
    public var name: String
    /// The declared type; empty where there is none.
    public var type: String
    public var isNotNull: Bool
    /// 1 for the first column of the primary key, 2 for the second, 0 for a column outside of it.
    public var primaryKeyOrdinal: Int
    /// The SQL of the default.
    public var defaultSQL: String?
    /// `virtual` or `stored` for a generated column.
    public var generated: String?

    public init(
        name: String,
        type: String,
        isNotNull: Bool,
        primaryKeyOrdinal: Int,
        defaultSQL: String? = nil,
        generated: String? = nil
    ) {
        self.name = name
        self.type = type
        self.isNotNull = isNotNull
        self.primaryKeyOrdinal = primaryKeyOrdinal
        self.defaultSQL = defaultSQL
        self.generated = generated
    }

    private enum CodingKeys: String, CodingKey {
        case name
        case type
        case isNotNull = "notNull"
        case primaryKeyOrdinal = "primaryKey"
        case defaultSQL = "default"
        case generated
    }
}

extension ColumnPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("name", name)
        writer.field("type", type)
        writer.field("notNull", isNotNull)
        writer.field("primaryKey", primaryKeyOrdinal)
        writer.field("default", defaultSQL)
        writer.field("generated", generated)
        writer.endObject()
    }
}
