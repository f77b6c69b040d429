/// `table:modified`: its schema, or its rows.
public struct TableModifiedPayload: Sendable, Hashable {
    public enum Change: Sendable, Hashable {
        case schema(SchemaModification)
        case rows(RowsModification)
    }

    public var tableName: String
    /// Unix milliseconds of the commit.
    public var timestamp: Int64
    public var change: Change
    public var context: TableEventContext

    public init(
        tableName: String,
        timestamp: Int64 = UnixTime.milliseconds,
        change: Change,
        context: TableEventContext = TableEventContext()
    ) {
        self.tableName = tableName
        self.timestamp = timestamp
        self.change = change
        self.context = context
    }
}

/// How a table's schema was altered.
public struct SchemaModification: Sendable, Hashable, Codable {
    /// The name before, where it was another one.
    public var previousName: String?
    public var sql: String?
    public var columns: [ColumnPayload]?
    /// For each of ``columns`` the index that it had before the change, nil for a new one: what becomes of the rows that one
    /// has. Nil where every column is as it was.
    public var columnSources: [Int?]?
    /// Indexes and triggers that came, went or changed.
    public var objects: [SchemaObjectPayload]?

    public init(
        previousName: String? = nil,
        sql: String? = nil,
        columns: [ColumnPayload]? = nil,
        columnSources: [Int?]? = nil,
        objects: [SchemaObjectPayload]? = nil
    ) {
        self.previousName = previousName
        self.sql = sql
        self.columns = columns
        self.columnSources = columnSources
        self.objects = objects
    }
}

/// An index or trigger in ``SchemaModification``.
public struct SchemaObjectPayload: Sendable, Hashable, Codable {
    public enum Action: String, Sendable, Hashable, Codable {
        case added
        case removed
        case changed
    }

    public enum Kind: String, Sendable, Hashable, Codable {
        case index
        case trigger
    }

    public var action: Action
    public var kind: Kind
    public var name: String
    /// The `CREATE` statement; nil for an index that SQLite made by itself.
    public var sql: String?

    public init(action: Action, kind: Kind, name: String, sql: String? = nil) {
        self.action = action
        self.kind = kind
        self.name = name
        self.sql = sql
    }
}

/// How a table's rows were changed by one transaction, netted.
public struct RowsModification: Sendable, Hashable, Codable {
    public var inserted: Int
    public var updated: Int
    public var deleted: Int
    /// Nil below level `keys`.
    public var rows: [RowChangePayload]?
    /// The rows are not listed: there were too many, or nothing tells which. The counts hold nevertheless, unless all three
    /// are 0: then it is known only that rows changed.
    public var rowsOmitted: Bool?
    /// Names of generated columns that could not be computed in time: `before` and `after` lack them.
    public var columnsOmitted: [String]?

    public init(
        inserted: Int,
        updated: Int,
        deleted: Int,
        rows: [RowChangePayload]? = nil,
        rowsOmitted: Bool? = nil,
        columnsOmitted: [String]? = nil
    ) {
        self.inserted = inserted
        self.updated = updated
        self.deleted = deleted
        self.rows = rows
        self.rowsOmitted = rowsOmitted
        self.columnsOmitted = columnsOmitted
    }
}

extension TableModifiedPayload: Codable {
    private enum CodingKeys: CodingKey {
        case tableName, timestamp, change
    }

    private enum Kind: String, Codable {
        case schema
        case rows
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tableName = try container.decode(String.self, forKey: .tableName)
        timestamp = try container.decode(Int64.self, forKey: .timestamp)
        switch try container.decode(Kind.self, forKey: .change) {
        case .schema: change = .schema(try SchemaModification(from: decoder))
        case .rows: change = .rows(try RowsModification(from: decoder))
        }
        context = try TableEventContext(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(tableName, forKey: .tableName)
        try container.encode(timestamp, forKey: .timestamp)
        switch change {
        case .schema(let schema):
            try container.encode(Kind.schema, forKey: .change)
            try schema.encode(to: encoder)
        case .rows(let rows):
            try container.encode(Kind.rows, forKey: .change)
            try rows.encode(to: encoder)
        }
        try context.encode(to: encoder)
    }
}
