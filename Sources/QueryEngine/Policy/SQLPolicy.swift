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

/// What a PRAGMA may be used for. One that is not listed here is refused: new ones appear with every release, and some
/// switch off what keeps the service safe or replace its own handlers (`busy_timeout`, `wal_autocheckpoint`).
///
/// Source: [PRAGMA Statements](https://sqlite.org/pragma.html).
struct PragmaRule: Hashable, Sendable {
    /// What an argument does.
    enum Argument: Hashable, Sendable {
        case refused
        /// Names a table, to be told about it.
        case table
        /// Narrows a report and changes nothing.
        case harmless
        /// Sets a value of the connection, which is undone before the next client: only what follows in the same request or
        /// transaction meets it.
        case session(SQLPolicy.Level)
        /// Sets a value in the file.
        case file(SQLPolicy.Level)
    }

    var argument: Argument = .refused
    /// It acts even without an argument.
    var acts: SQLPolicy.Level?
    /// It tells of more than one table, so a policy with a list of tables refuses it.
    var revealsSchema = false
    /// SQLite ignores the argument within a transaction, without an error.
    var isIgnoredInTransaction = false
    /// The arguments, in lower case, that last in the file; nil for all.
    var values: Set<String>?

    static func named(_ name: String) -> PragmaRule? { rules[name.lowercased()] }

    private static let rules: [String: PragmaRule] = [
        // Reports about the schema.
        "table_info": PragmaRule(argument: .table),
        "table_xinfo": PragmaRule(argument: .table),
        "index_list": PragmaRule(argument: .table),
        // It names the tables that the foreign keys lead to.
        "foreign_key_list": PragmaRule(argument: .table, revealsSchema: true),
        "table_list": PragmaRule(argument: .harmless, revealsSchema: true),
        "index_info": PragmaRule(argument: .harmless, revealsSchema: true),
        "index_xinfo": PragmaRule(argument: .harmless, revealsSchema: true),
        "database_list": PragmaRule(revealsSchema: true),
        "foreign_key_check": PragmaRule(argument: .harmless, revealsSchema: true),
        "integrity_check": PragmaRule(argument: .harmless, revealsSchema: true),
        "quick_check": PragmaRule(argument: .harmless, revealsSchema: true),
        // Reports about the library and the connection.
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
        // Settings of the connection that its next VACUUM brings into the file.
        "auto_vacuum": PragmaRule(argument: .session(.admin), isIgnoredInTransaction: true),
        "page_size": PragmaRule(argument: .session(.admin), isIgnoredInTransaction: true),
        // Settings of the file, and work on it.
        "application_id": PragmaRule(argument: .file(.readWrite)),
        "incremental_vacuum": PragmaRule(argument: .file(.readWrite), acts: .readWrite),
        "journal_mode": PragmaRule(argument: .file(.admin), values: ["delete", "wal"]),
        // What it would do, which it says when it is asked to, names tables.
        "optimize": PragmaRule(argument: .file(.readWrite), acts: .readWrite, revealsSchema: true),
        "user_version": PragmaRule(argument: .file(.readWrite)),
        "wal_checkpoint": PragmaRule(argument: .file(.admin), acts: .admin),
    ]
}
