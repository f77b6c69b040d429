package import SQLiteConnection

/// The permissions of a query. SQLite's authorizer enforces them while the statements are compiled, on everything they
/// access, also through views, triggers, foreign keys and generated columns, which have no rights of their own.
///
/// Always refused, by name: ATTACH and DETACH, VACUUM INTO, loading extensions, `writable_schema`, PRAGMAs that are not
/// known to be harmless, `fts3_tokenizer`, and virtual tables of unknown modules. `SQLITE_DBCONFIG_DEFENSIVE` is on,
/// and `trusted_schema` off where the library allows it, so that a hostile schema cannot reach functions with side
/// effects.
///
/// Source: [Defense Against The Dark Arts](https://sqlite.org/security.html).
package struct SQLPolicy: Sendable, Hashable {
    package enum Level: Int, Sendable, Comparable {
        case readOnly
        /// Rows, the schema and temporary objects.
        case readWrite
        /// In addition, settings of the database file: journal mode, checkpoints and the like.
        case admin

        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    package var level: Level
    /// The tables that may be read; nil for all. With a list, the schema can be neither changed nor read as a whole.
    /// A virtual table in the list can be read if all tables are in it that the module reads for it; its shadow tables need not
    /// be.
    package var readableTables: TableNames?
    /// The tables that may be written; nil for all. With a list, the schema cannot be changed.
    package var writableTables: TableNames?
    /// The rows that may be read and written of the tables with a rule; nil for all. Only with a list of readable tables. SQL
    /// needs ``Level/readOnly``; a ``RowWrite`` checks the rows that it writes.
    package var rowRules: SQLRowRules?

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

/// A set of table names, compared as SQLite compares them: ignoring the case of ASCII letters, and otherwise byte by
/// byte.
package struct TableNames: Sendable, Hashable {
    private let folded: Set<[UInt8]>

    package init(_ names: some Sequence<String>) { folded = Set(names.map(Self.fold)) }

    private init(folded: Set<[UInt8]>) { self.folded = folded }

    package func contains(_ name: String) -> Bool { folded.contains(Self.fold(name)) }

    func subtracting(_ names: [String]) -> TableNames { TableNames(folded: folded.subtracting(names.map(Self.fold))) }

    func union(_ names: [String]) -> TableNames { TableNames(folded: folded.union(names.map(Self.fold))) }

    private static func fold(_ name: String) -> [UInt8] { name.utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 } }
}

extension TableNames: ExpressibleByArrayLiteral {
    package init(arrayLiteral names: String...) { self.init(names) }
}

/// The permitted uses of a PRAGMA. One that is not listed here is refused: new ones appear with every release, and some
/// disable safeguards of the service or replace its own handlers (`busy_timeout`, `wal_autocheckpoint`).
///
/// Source: [PRAGMA Statements](https://sqlite.org/pragma.html).
struct PragmaRule: Hashable, Sendable {
    /// The effect of an argument.
    enum Argument: Hashable, Sendable {
        case refused
        /// Names the table to report on.
        case table
        /// Restricts a report and changes nothing.
        case harmless
        /// Sets a value of the connection, which is reset before the next client: it affects only the rest of the same
        /// request or transaction.
        case session(SQLPolicy.Level)
        /// Sets a value in the file.
        case file(SQLPolicy.Level)
    }

    var argument: Argument = .refused
    /// The level that the PRAGMA needs when it has an effect without an argument; nil when it has none.
    var acts: SQLPolicy.Level?
    /// It reports on more than one table, so a policy with a list of tables refuses it.
    var revealsSchema = false
    /// SQLite ignores the argument within a transaction, without an error.
    var isIgnoredInTransaction = false
    /// The arguments, in lower case, whose effect is stored in the file; nil for all.
    var values: Set<String>?

    static func named(_ name: String) -> PragmaRule? { rules[name.lowercased()] }

    private static let rules: [String: PragmaRule] = [
        // Reports about the schema.
        "table_info": PragmaRule(argument: .table),
        "table_xinfo": PragmaRule(argument: .table),
        "index_list": PragmaRule(argument: .table),
        // It names the tables that the foreign keys refer to.
        "foreign_key_list": PragmaRule(argument: .table, revealsSchema: true),
        "table_list": PragmaRule(argument: .harmless, revealsSchema: true),
        "index_info": PragmaRule(argument: .harmless, revealsSchema: true),
        "index_xinfo": PragmaRule(argument: .harmless, revealsSchema: true),
        "database_list": PragmaRule(revealsSchema: true),
        "foreign_key_check": PragmaRule(argument: .harmless, revealsSchema: true),
        "integrity_check": PragmaRule(argument: .harmless, revealsSchema: true),
        "quick_check": PragmaRule(argument: .harmless, revealsSchema: true),
        // Reports on the library and the connection.
        "busy_timeout": PragmaRule(),
        "cache_size": PragmaRule(),
        "collation_list": PragmaRule(),
        "compile_options": PragmaRule(),
        "data_version": PragmaRule(),
        "encoding": PragmaRule(),
        "freelist_count": PragmaRule(),
        "function_list": PragmaRule(),
        "locking_mode": PragmaRule(),
        "mmap_size": PragmaRule(),
        "max_page_count": PragmaRule(),
        "module_list": PragmaRule(),
        "page_count": PragmaRule(),
        "pragma_list": PragmaRule(),
        "query_only": PragmaRule(),
        "schema_version": PragmaRule(),
        "temp_store": PragmaRule(),
        "trusted_schema": PragmaRule(),
        "wal_autocheckpoint": PragmaRule(),
        // Settings of the connection.
        "analysis_limit": PragmaRule(argument: .session(.readWrite)),
        "automatic_index": PragmaRule(argument: .session(.readWrite)),
        "defer_foreign_keys": PragmaRule(argument: .session(.readWrite)),
        "foreign_keys": PragmaRule(argument: .session(.readWrite), isIgnoredInTransaction: true),
        "ignore_check_constraints": PragmaRule(argument: .session(.admin)),
        "journal_size_limit": PragmaRule(argument: .session(.admin)),
        "legacy_alter_table": PragmaRule(argument: .session(.readWrite)),
        "recursive_triggers": PragmaRule(argument: .session(.readWrite)),
        "reverse_unordered_selects": PragmaRule(argument: .session(.readWrite)),
        "secure_delete": PragmaRule(argument: .session(.admin)),
        "synchronous": PragmaRule(argument: .session(.admin)),
        // Settings of the connection that its next VACUUM stores in the file.
        "auto_vacuum": PragmaRule(argument: .session(.admin), isIgnoredInTransaction: true),
        "page_size": PragmaRule(argument: .session(.admin), isIgnoredInTransaction: true),
        // Settings of the file, and maintenance.
        "application_id": PragmaRule(argument: .file(.readWrite)),
        "incremental_vacuum": PragmaRule(argument: .file(.readWrite), acts: .readWrite),
        "journal_mode": PragmaRule(argument: .file(.admin), values: ["delete", "wal"]),
        // Its dry run names tables.
        "optimize": PragmaRule(argument: .file(.readWrite), acts: .readWrite, revealsSchema: true),
        "user_version": PragmaRule(argument: .file(.readWrite)),
        "wal_checkpoint": PragmaRule(argument: .file(.admin), acts: .admin),
    ]
}
