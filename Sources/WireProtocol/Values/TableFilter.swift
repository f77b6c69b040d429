/// What a subscriber of `tables` asks for: which tables, which operations, how much of each row.
///
/// Canonical: two filters that ask for the same in another order are equal, and so share one encoding of each message.
public struct TableFilter: Sendable, Hashable {
    public static let maxPatterns = 64
    public static let maxPatternBytes = 256

    /// Every table, every operation, counts alone: what a plain `subscribe` asks for.
    public static let everything = TableFilter()

    /// Sorted and without repetitions; empty for every table.
    private let patterns: [GlobPattern]
    public let operations: TableOperations
    public let rowLevel: RowLevel
    /// Whether the tables outside of it may not be known of: messages name none of them and carry no SQL of the schema, which
    /// could. Part of the filter, because the same bytes are for all clients of equal filters.
    package var hidesOtherTables = false
    /// Which rows of the one table; nil for all.
    public let condition: RowCondition?

    /// Takes names or patterns, nil for every table; the error names what is beyond ``maxPatterns`` or ``maxPatternBytes``.
    ///
    /// A condition needs exactly one table by its name, because it is about that table's columns.
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
        // Without operations on rows their level makes no difference, and would only make another group.
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

    private init() {
        patterns = []
        operations = .all
        rowLevel = .none
        condition = nil
    }

    /// The names and patterns, sorted; nil for every table.
    public var tables: [String]? { patterns.isEmpty ? nil : patterns.map(\.text) }

    /// The filter as text: the same for equal filters, in every process.
    package var canonicalText: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.field("tables", tables)
        writer.field("operations", Int(operations.rawValue))
        writer.field("rows", rowLevel.rawValue)
        if hidesOtherTables { writer.field("hidesOtherTables", true) }
        if let condition {
            writer.field("where", condition.sql)
            writer.key("params")
            condition.parameters.write(to: &writer)
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Whether anything about this table is wanted.
    public func includes(table name: String) -> Bool {
        patterns.isEmpty || patterns.contains { $0.matches(name) }
    }
}
