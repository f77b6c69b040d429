/// What a query may do. Enforced while its statements are compiled, by SQLite's authorizer, on everything they touch: also
/// through views, triggers, foreign keys and generated columns, which are given no rights of their own.
///
/// Refused to everybody, by name: ATTACH and DETACH, VACUUM INTO, loading extensions, `writable_schema`, PRAGMAs that are
/// not known to be harmless, `fts3_tokenizer`, and virtual tables of unknown modules. `SQLITE_DBCONFIG_DEFENSIVE` is on, and
/// `trusted_schema` off where the library allows it, so that a hostile schema cannot reach functions with side effects.
///
/// Source: [Defense Against The Dark Arts](https://sqlite.org/security.html).
package struct SQLPolicy: Sendable, Hashable {
    package enum Level: Int, Sendable, Comparable {
        case readOnly
        /// Rows, schema and temporary objects.
        case readWrite
        /// Also settings of the database file: journal mode, checkpoints and the like.
        case admin

        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    package var level: Level
    /// The tables that may be read; nil for all. With a list, the schema cannot be changed nor read as a whole. The shadow
    /// tables of a virtual table have to be listed with it.
    package var readableTables: TableNames?
    /// The tables that may be written; nil for all. With a list, the schema cannot be changed.
    package var writableTables: TableNames?

    package init(level: Level, readableTables: TableNames? = nil, writableTables: TableNames? = nil) {
        self.level = level
        self.readableTables = readableTables
        self.writableTables = writableTables
    }

    package static let readOnly = SQLPolicy(level: .readOnly)
    package static let readWrite = SQLPolicy(level: .readWrite)
    package static let admin = SQLPolicy(level: .admin)

    var restrictsTables: Bool { readableTables != nil || writableTables != nil }
}

/// Names of tables, compared as SQLite does: without regard to the case of ASCII letters, and byte by byte otherwise.
package struct TableNames: Sendable, Hashable {
    private let folded: Set<[UInt8]>

    package init(_ names: some Sequence<String>) { folded = Set(names.map(Self.fold)) }

    package func contains(_ name: String) -> Bool { folded.contains(Self.fold(name)) }

    private static func fold(_ name: String) -> [UInt8] { name.utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 } }
}

extension TableNames: ExpressibleByArrayLiteral {
    package init(arrayLiteral names: String...) { self.init(names) }
}
