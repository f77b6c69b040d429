/// The common fields of the three table events: the subscription, the origin, and the transaction.
public struct TableEventContext: Sendable, Hashable, Codable {
    public enum Origin: String, Sendable, Hashable, Codable {
        /// A query that ran through the service.
        case service
        /// Another process.
        case external
    }

    /// The transaction that an event belongs to.
    public struct Transaction: Sendable, Hashable, Codable {
        public var position: Position
        /// The last event of the transaction for this subscription.
        public var isLast: Bool

        public init(position: Position, isLast: Bool) {
            self.position = position
            self.isLast = isLast
        }

        private enum CodingKeys: String, CodingKey {
            case position
            case isLast = "last"
        }
    }

    /// The id of the subscription to which the event belongs. Nil for a broadcaster without a database.
    public var subscription: String?
    /// Set when the origin is `service`.
    public var userID: String?
    public var username: String?
    public var queryID: String?
    /// Nil for a broadcaster without a database, like the following two.
    public var database: String?
    public var origin: Origin?
    public var transaction: Transaction?

    public init(
        subscription: String? = nil,
        userID: String? = nil,
        username: String? = nil,
        queryID: String? = nil,
        database: String? = nil,
        origin: Origin? = nil,
        transaction: Transaction? = nil
    ) {
        self.subscription = subscription
        self.userID = userID
        self.username = username
        self.queryID = queryID
        self.database = database
        self.origin = origin
        self.transaction = transaction
    }

    private enum CodingKeys: String, CodingKey {
        case subscription
        case userID = "userId"
        case username
        case queryID = "queryId"
        case database
        case origin
        case transaction
    }
}

extension TableEventContext.Transaction: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("position", position)
        writer.field("last", isLast)
        writer.endObject()
    }
}

extension JSONWriter {
    /// Writes the fields of a context into an open object.
    mutating func fields(_ context: TableEventContext) {
        field("subscription", context.subscription)
        field("userId", context.userID)
        field("username", context.username)
        field("queryId", context.queryID)
        field("database", context.database)
        field("origin", context.origin?.rawValue)
        field("transaction", context.transaction)
    }
}

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

/// The kind of object of a table event.
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

    /// The fields that both events have: a dropped table has all except its definition.
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

/// `transaction:end`: a connection with several subscriptions to `tables` has received all their messages up to a
/// position, and may resume all of them after it.
public struct TransactionEndPayload: Sendable, Hashable, Codable {
    public var position: Position

    public init(position: Position) {
        self.position = position
    }
}

extension TransactionEndPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("position", position)
        writer.endObject()
    }
}

/// A column of a table, as `columns` of the table events lists it.
public struct ColumnPayload: Sendable, Hashable, Codable {
    public var name: String
    /// The declared type; empty when there is none.
    public var type: String
    public var isNotNull: Bool
    /// 1 for the first column of the primary key, 2 for the second, 0 for other columns.
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
