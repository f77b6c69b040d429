/// `table:modified`: a change of a table's schema or of its rows.
public struct TableModifiedPayload: Sendable, Hashable {
    /// Later versions can have further cases: handle those you need, and others with `default`.
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

/// How a table's schema changed.
public struct SchemaModification: Sendable, Hashable, Codable {
    /// The name before, if it was another one.
    public var previousName: String?
    public var sql: String?
    public var columns: [ColumnPayload]?
    /// For each of ``columns`` its index before the change, nil for a new one: how a client converts its rows. Nil when
    /// no column changed.
    public var columnSources: [Int?]?
    /// Indexes and triggers that were added, removed or changed.
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

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case previousName, sql, columns, columnSources, objects
    }
}

/// An index or trigger in ``SchemaModification``.
public struct SchemaObjectPayload: Sendable, Hashable, Codable {
    public enum Action: String, Sendable, Hashable, Codable {
        case added
        case removed
        case changed
    }

    /// A struct rather than an enum, so that a client can decode the messages of a newer service.
    public struct Kind: RawRepresentable, Sendable, Hashable, Codable {
        public static let index = Self(rawValue: "index")
        public static let trigger = Self(rawValue: "trigger")

        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }
    }

    public var action: Action
    public var kind: Kind
    public var name: String
    /// The `CREATE` statement; nil for an index that SQLite created itself.
    public var sql: String?

    public init(action: Action, kind: Kind, name: String, sql: String? = nil) {
        self.action = action
        self.kind = kind
        self.name = name
        self.sql = sql
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case action, kind, name, sql
    }
}

/// How one transaction changed a table's rows, coalesced.
public struct RowsModification: Sendable, Hashable, Codable {
    public var inserted: Int
    public var updated: Int
    public var deleted: Int
    /// Nil below level `keys`.
    public var rows: [RowChangePayload]?
    /// The rows are not listed: there were too many, or they are not known. The counts are still correct, unless all
    /// three are 0: then it is only known that rows changed.
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

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case inserted, updated, deleted, rows, rowsOmitted, columnsOmitted
    }
}

extension TableModifiedPayload: Codable {
    fileprivate enum CodingKeys: String, CodingKey, FieldName {
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

extension TableModifiedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        switch change {
        case .schema(let schema):
            beginWriting(to: &writer, change: "schema")
            writer.field(SchemaModification.CodingKeys.previousName, schema.previousName)
            writer.field(SchemaModification.CodingKeys.sql, schema.sql)
            writer.field(SchemaModification.CodingKeys.columns, schema.columns)
            if let sources = schema.columnSources {
                writer.key(of: SchemaModification.CodingKeys.columnSources)
                writer.beginArray()
                for source in sources {
                    if let source { writer.number(source) } else { writer.null() }
                }
                writer.endArray()
            }
            writer.field(SchemaModification.CodingKeys.objects, schema.objects)
            endWriting(to: &writer)
        case .rows(let rows):
            writeRows(rows, to: &writer) { writer in
                writer.field(RowsModification.CodingKeys.rows, rows.rows)
            }
        }
    }

    /// Writes a change of rows whose `rows` the caller writes itself: the elements of the array, or nil for level
    /// `none`. The rows in `counts` are ignored.
    package func write(
        to writer: inout JSONWriter,
        counts: RowsModification,
        rows: ((inout JSONWriter) -> Void)?
    ) {
        writeRows(counts, to: &writer) { writer in
            guard let rows else { return }
            writer.key(of: RowsModification.CodingKeys.rows)
            writer.beginArray()
            rows(&writer)
            writer.endArray()
        }
    }

    private func writeRows(
        _ counts: RowsModification,
        to writer: inout JSONWriter,
        _ rows: (inout JSONWriter) -> Void
    ) {
        beginWriting(to: &writer, change: "rows")
        writer.field(RowsModification.CodingKeys.inserted, counts.inserted)
        writer.field(RowsModification.CodingKeys.updated, counts.updated)
        writer.field(RowsModification.CodingKeys.deleted, counts.deleted)
        rows(&writer)
        writer.field(RowsModification.CodingKeys.rowsOmitted, counts.rowsOmitted)
        writer.field(RowsModification.CodingKeys.columnsOmitted, counts.columnsOmitted)
        endWriting(to: &writer)
    }

    private func beginWriting(to writer: inout JSONWriter, change: StaticString) {
        writer.beginObject()
        writer.field(CodingKeys.tableName, tableName)
        writer.field(CodingKeys.timestamp, timestamp)
        writer.key(of: CodingKeys.change)
        writer.string(change)
    }

    private func endWriting(to writer: inout JSONWriter) {
        writer.fields(context)
        writer.endObject()
    }
}

extension SchemaObjectPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.action, action.rawValue)
        writer.field(CodingKeys.kind, kind.rawValue)
        writer.field(CodingKeys.name, name)
        writer.field(CodingKeys.sql, sql)
        writer.endObject()
    }
}

/// One row that a transaction changed: an entry of `rows` in `table:modified`.
public struct RowChangePayload: Sendable, Hashable, Codable {
    public enum Operation: String, Sendable, Hashable, Codable {
        case insert
        case update
        case delete
    }

    /// How a row crossed the subscription's condition.
    public enum Crossing: String, Sendable, Hashable, Codable {
        /// It did not match before: the operation is an insert, whatever the transaction did.
        case entered
        /// It does not match any more: the operation is a delete.
        case left
    }

    public var operation: Operation
    /// The primary key's columns, or `rowid` when there is none; after an update that changed the key, the new one.
    public var key: [String: WireValue]
    /// Nil for a table without one.
    public var rowid: Int64? {
        get { wireRowid?.value }
        set { wireRowid = newValue.map(WireInteger.init) }
    }
    /// The row before the transaction; nil for an insert, and below level `values`.
    public var before: [String: WireValue]?
    /// The row after the transaction; nil for a delete, and below level `values`.
    public var after: [String: WireValue]?
    /// Set when an update changed whether the row matches the subscription's condition.
    public var crossing: Crossing?

    private var wireRowid: WireInteger?

    public init(
        operation: Operation,
        key: [String: WireValue],
        rowid: Int64? = nil,
        before: [String: WireValue]? = nil,
        after: [String: WireValue]? = nil,
        crossing: Crossing? = nil
    ) {
        self.operation = operation
        self.key = key
        self.rowid = rowid
        self.before = before
        self.after = after
        self.crossing = crossing
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case operation = "op"
        case key
        case wireRowid = "rowid"
        case before
        case after
        case crossing = "filter"
    }
}

extension RowChangePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.operation, operation.rawValue)
        writer.field(CodingKeys.crossing, crossing?.rawValue)
        writer.field(CodingKeys.key, object: key)
        writer.field(CodingKeys.wireRowid, integer: rowid)
        writer.field(CodingKeys.before, object: before)
        writer.field(CodingKeys.after, object: after)
        writer.endObject()
    }
}
