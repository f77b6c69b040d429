/// The common fields of the three table events: the subscription, the origin, and the transaction.
public struct TableEventContext: Sendable, Hashable, Codable {
    /// Who committed. A struct rather than an enum, so that a client can decode the messages of a newer service.
    public struct Origin: RawRepresentable, Sendable, Hashable, Codable {
        /// A query that ran through the service.
        public static let service = Self(rawValue: "service")
        /// Another process.
        public static let external = Self(rawValue: "external")

        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }
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

        fileprivate enum CodingKeys: String, CodingKey, FieldName {
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

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
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
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.isLast, isLast)
        writer.endObject()
    }
}

extension JSONWriter {
    /// Writes the fields of a context into an open object.
    mutating func fields(_ context: TableEventContext) {
        field(TableEventContext.CodingKeys.subscription, context.subscription)
        field(TableEventContext.CodingKeys.userID, context.userID)
        field(TableEventContext.CodingKeys.username, context.username)
        field(TableEventContext.CodingKeys.queryID, context.queryID)
        field(TableEventContext.CodingKeys.database, context.database)
        field(TableEventContext.CodingKeys.origin, context.origin?.rawValue)
        field(TableEventContext.CodingKeys.transaction, context.transaction)
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
///
/// A struct rather than an enum, so that a client can decode the messages of a newer service.
public struct TableObjectType: RawRepresentable, Sendable, Hashable, Codable {
    public static let table = Self(rawValue: "table")
    public static let view = Self(rawValue: "view")
    public static let virtual = Self(rawValue: "virtual")

    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }
}

extension TableCreatedPayload: Codable {
    fileprivate enum CodingKeys: String, CodingKey, FieldName {
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
        writer.field(TableDroppedPayload.CodingKeys.tableName, tableName)
        writer.field(TableDroppedPayload.CodingKeys.timestamp, timestamp)
        writer.field(TableDroppedPayload.CodingKeys.objectType, objectType?.rawValue)
        writer.field(CodingKeys.sql, sql)
        writer.field(CodingKeys.columns, columns)
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
    fileprivate enum CodingKeys: String, CodingKey, FieldName {
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
        writer.field(CodingKeys.tableName, tableName)
        writer.field(CodingKeys.timestamp, timestamp)
        writer.field(CodingKeys.objectType, objectType?.rawValue)
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

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case position
    }
}

extension TransactionEndPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.position, position)
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

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
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
        writer.field(CodingKeys.name, name)
        writer.field(CodingKeys.type, type)
        writer.field(CodingKeys.isNotNull, isNotNull)
        writer.field(CodingKeys.primaryKeyOrdinal, primaryKeyOrdinal)
        writer.field(CodingKeys.defaultSQL, defaultSQL)
        writer.field(CodingKeys.generated, generated)
        writer.endObject()
    }
}
