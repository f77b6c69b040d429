/// The filter of a subscriber of `tables`: which tables, which operations, and which detail of each row.
///
/// Canonical: two filters with the same content in another order are equal, and so share one encoding of each message.
public struct TableFilter: Sendable, Hashable {
    public static let maxPatterns = 64
    public static let maxPatternBytes = 256

    /// Every table, every operation, only counts: the filter of a plain `subscribe`.
    public static let everything = TableFilter()

    /// Sorted and without duplicates; empty for every table.
    private let patterns: [GlobPattern]
    public let operations: TableOperations
    public let rowLevel: RowLevel
    /// Whether other tables must stay hidden: messages do not name them and carry no SQL of the schema, which could.
    /// Part of the filter, because clients with equal filters receive the same bytes.
    package var hidesOtherTables = false
    /// Whether each transaction comes whole, as ``RelayFormat`` encodes it, instead of as messages about its tables. Only
    /// set in ``forRelay``.
    package private(set) var isForRelay = false
    /// Selects rows of the single table; nil for all.
    public let condition: RowCondition?
    /// The rows of each table that the subscriber may see; every row of a table without a rule. ``condition`` and everything
    /// else applies to these rows only, as if no others existed.
    package var rules: [TableRule] = []

    /// Takes names or patterns, nil for every table; the error names the value that exceeds ``maxPatterns`` or
    /// ``maxPatternBytes``.
    ///
    /// A condition needs exactly one table by its name, because it refers to that table's columns.
    public init(
        tables: [String]? = nil,
        operations: TableOperations = .all,
        rowLevel: RowLevel = .none,
        condition: RowCondition? = nil
    ) throws(ProtocolError) {
        self.operations = operations
        self.condition = operations.isDisjoint(with: .rows) ? nil : condition
        if condition != nil, tables?.count != 1 {
            throw ProtocolError(
                .invalidMessage,
                "where: expected one table in tables, whose columns it is about, found \(tables?.count ?? 0)"
            )
        }
        // Without operations on rows the row level has no effect, and would only create another group.
        self.rowLevel = operations.isDisjoint(with: .rows) ? .none : rowLevel
        guard !operations.isEmpty else {
            throw ProtocolError(.invalidMessage, "operations: expected at least one, found none")
        }
        guard let tables else {
            patterns = []
            return
        }
        guard (1...Self.maxPatterns).contains(tables.count) else {
            throw ProtocolError(
                .invalidMessage,
                "tables: expected 1 to \(Self.maxPatterns) names, found \(tables.count)"
            )
        }
        for table in tables where !(1...Self.maxPatternBytes).contains(table.utf8.count) {
            let found = "\(quoted(table)) with \(table.utf8.count) bytes"
            throw ProtocolError(
                .invalidMessage,
                "tables: expected names of 1 to \(Self.maxPatternBytes) bytes, found \(found)"
            )
        }
        let distinct = Set(tables.map(GlobPattern.init))
        patterns = distinct.contains(where: \.matchesEverything) ? [] : distinct.sorted { $0.text < $1.text }
    }

    private init(rowLevel: RowLevel = .none) {
        patterns = []
        operations = .all
        self.rowLevel = rowLevel
        condition = nil
    }

    /// The subscription of a relay: every transaction with all values, whole.
    package static let forRelay = {
        var filter = TableFilter(rowLevel: .values)
        filter.isForRelay = true
        return filter
    }()

    /// The names and patterns, sorted; nil for every table.
    public var tables: [String]? { patterns.isEmpty ? nil : patterns.map(\.text) }

    /// The filter as text: the same for equal filters, in every process.
    package var canonicalText: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.field(ClientField.tables, tables)
        writer.field(ClientField.operations, Int(operations.rawValue))
        writer.field(ClientField.rows, rowLevel.rawValue)
        if hidesOtherTables { writer.field("hidesOtherTables", true) }
        if isForRelay { writer.field(ClientField.relay, RelayFormat.version) }
        if let condition {
            writer.field(ClientField.condition, condition.sql)
            writer.key(of: ClientField.parameters)
            condition.parameters.write(to: &writer)
        }
        if !rules.isEmpty {
            writer.key("rules")
            writer.beginArray()
            for rule in rules { rule.write(to: &writer) }
            writer.endArray()
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// The rule of a table; nil if every row may be seen.
    package func rule(for table: String) -> TableRule? {
        rules.isEmpty ? nil : rules.first { $0.isFor(table) }
    }

    /// Whether the filter includes any event of this table.
    public func includes(table name: String) -> Bool {
        patterns.isEmpty || patterns.contains { $0.matches(name) }
    }
}

/// The rows of one table that a subscriber may see.
package struct TableRule: Sendable, Hashable {
    package let table: String
    package let condition: RowCondition
    /// With ASCII letters in lower case, as SQLite compares names.
    private let name: [UInt8]

    package init(table: String, condition: RowCondition) {
        self.table = table
        self.condition = condition
        name = Self.folded(table)
    }

    package func isFor(_ table: String) -> Bool { Self.folded(table) == name }

    private static func folded(_ name: String) -> [UInt8] { name.utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 } }
}

extension TableRule: JSONWritable {
    /// The same text for equal rules.
    package func write(to writer: inout JSONWriter) {
        writer.beginArray()
        writer.string(table)
        writer.string(condition.sql)
        condition.parameters.write(to: &writer)
        writer.endArray()
    }
}

/// The rows of a table that a subscriber wants: an SQL expression over the table's columns.
public struct RowCondition: Sendable, Hashable {
    public static let maxSQLBytes = 10_000

    public var sql: String
    /// The values of `?` and `:name` in the SQL.
    public var parameters: QueryRequest.Parameters

    public init(sql: String, parameters: QueryRequest.Parameters = .none) {
        self.sql = sql
        self.parameters = parameters
    }

    /// By bytes: filters that are equal share their messages, so texts that SQLite distinguishes must differ.
    public static func == (left: RowCondition, right: RowCondition) -> Bool {
        left.sql.utf8.elementsEqual(right.sql.utf8) && left.parameters == right.parameters
    }

    /// Reads the values of a query string; nil when there is no `where`.
    ///
    /// - Parameters:
    ///   - sql: an expression over the table's columns.
    ///   - params: JSON, an array or an object.
    public init?(where sql: String?, params: String?) throws(ProtocolError) {
        var fields: [String: JSONValue] = [:]
        fields[ClientField.condition.rawValue] = sql.map { .string($0) }
        fields[ClientField.parameters.rawValue] = try params.map { text throws(ProtocolError) in
            try JSONFields.value(text, of: .parameters)
        }
        try self.init(JSONFields(fields, path: ""))
    }

    /// Reads `where` and `params`; nil when there is no `where`.
    init?(_ data: JSONFields) throws(ProtocolError) {
        guard let sql = try data.string(.condition, maxBytes: Self.maxSQLBytes) else {
            if data.value(.parameters) != nil {
                throw data.failure(.parameters, "expected none without where, found some")
            }
            return nil
        }
        self.init(sql: sql, parameters: try QueryRequest.parameters(data))
    }
}

extension QueryRequest.Parameters: JSONWritable {
    /// The same text for equal parameters.
    package func write(to writer: inout JSONWriter) {
        switch self {
        case .none:
            writer.null()
        case .positional(let values):
            writer.beginArray()
            for value in values { writer.value(value) }
            writer.endArray()
        case .named(let values):
            writer.beginObject()
            for name in values.keys.sorted() {
                writer.key(escaping: name)
                writer.value(values[name] ?? .null)
            }
            writer.endObject()
        }
    }
}

/// The detail of each changed row that a subscriber of `tables` receives.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum RowLevel: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// Only counts.
    case none
    /// The operation and the key.
    case keys
    /// The key, and the values before and after.
    case values

    private var rank: Int {
        switch self {
        case .none: 0
        case .keys: 1
        case .values: 2
        }
    }

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rank < rhs.rank }
}

/// The kinds of changes that a subscriber of `tables` receives.
public struct TableOperations: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let insert = Self(rawValue: 1)
    public static let update = Self(rawValue: 2)
    public static let delete = Self(rawValue: 4)
    /// Tables created, altered and dropped.
    public static let schema = Self(rawValue: 8)

    public static let rows: Self = [.insert, .update, .delete]
    public static let all: Self = [.insert, .update, .delete, .schema]

    /// The names in the protocol.
    public static let names: [(name: String, operation: TableOperations)] = [
        ("insert", .insert), ("update", .update), ("delete", .delete), ("schema", .schema),
    ]

    /// The operation of that name; the error lists the known ones.
    public init(parsing name: String) throws(ProtocolError) {
        guard let known = Self.names.first(where: { $0.name == name }) else {
            let names = Self.names.map(\.name).joined(separator: ", ")
            throw ProtocolError(.invalidMessage, "unknown operation \(quoted(name)): expected one of \(names)")
        }
        self = known.operation
    }
}
