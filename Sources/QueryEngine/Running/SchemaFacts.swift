import SQLiteConnection

/// What a guarded connection knows of its schema; read again when the schema has another version.
///
/// No policy applies to what it reads. Belongs to the connection's thread.
final class SchemaFacts {
    private let connection: Connection
    private let authorizer: StatementAuthorizer
    private let handlers: ExecutionHandlers
    private var versionStatement: Statement?
    /// The version of the snapshot that the statement keeps.
    private var heldVersion: Int64?
    /// Whether tables or indexes use LIKE or GLOB.
    private var patterns: (version: Int64, areUsed: Bool)?
    /// Whether a view or a trigger may have a join with USING or NATURAL.
    private var namedJoins: (version: Int64, areUsed: Bool)?
    /// The names of tables, views and modules.
    private var names: (version: Int64, names: TableNames)?
    /// The schema for the last policy with a list of tables.
    private var visible: (version: [[SQLiteValue]], readable: TableNames, schema: VisibleSchema)?

    init(_ connection: Connection, _ authorizer: StatementAuthorizer, _ handlers: ExecutionHandlers) {
        self.connection = connection
        self.authorizer = authorizer
        self.handlers = handlers
    }

    /// The version of the schema; nil when another process has the file to itself, or when the query was cancelled.
    ///
    /// Also nil where the transaction has begun and has no snapshot yet: a write that takes one later than this would fail when
    /// another process commits in between.
    ///
    /// - Parameter holdsSnapshot: whether what is read next, until ``releaseSnapshot()``, reads the same state of the database:
    ///   then the version holds for it, and it need not find a snapshot again.
    func version(holdsSnapshot: Bool = false) -> Int64? {
        if let heldVersion { return heldVersion }
        guard connection.isInAutocommit || connection.hasSnapshot else { return nil }
        do {
            return try impatiently { () throws(SQLiteError) in
                if versionStatement == nil {
                    versionStatement = try connection.prepare("PRAGMA main.schema_version", persistent: true)
                }
                defer { if heldVersion == nil { versionStatement?.reset() } }
                _ = try versionStatement?.step()
                let version = versionStatement?.integer(0) ?? 0
                // Until the statement is reset, it keeps its read transaction.
                if holdsSnapshot { heldVersion = version }
                return version
            }
        } catch {
            return nil
        }
    }

    func releaseSnapshot() {
        if heldVersion.take() != nil { versionStatement?.reset() }
    }

    /// Whether an expression of a table or an index may use LIKE or GLOB. SQLite does not say of an expression of the schema that
    /// a statement evaluates it.
    func comparesPatterns(_ version: Int64?) -> Bool {
        // What was known last is the best guess, and what is not known is bounded.
        guard let version else { return patterns?.areUsed ?? true }
        if let patterns, patterns.version == version { return patterns.areUsed }
        let sql = "SELECT sql FROM main.sqlite_schema WHERE type IN ('table', 'index')"
        do {
            let areUsed = try impatiently { () throws(SQLiteError) in
                try connection.query(sql).contains { row in
                    if case .text(let sql)? = row.first { EvaluationPolicy.comparesPatterns(sql) } else { false }
                }
            }
            patterns = (version, areUsed)
            return areUsed
        } catch {
            // As above.
            return patterns?.areUsed ?? true
        }
    }

    /// Whether a view or a trigger may have a join with USING or NATURAL: see ``OpenedTables``.
    func joinsByName() throws(SQLiteError) -> Bool {
        let version = version()
        if let namedJoins, namedJoins.version == version { return namedJoins.areUsed }
        let areUsed = try authorizer.unguarded { () throws(SQLiteError) in
            try connection.query("SELECT sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger')").contains {
                row in
                if case .text(let sql)? = row.first { OpenedTables.joinsByName(sql) } else { false }
            }
        }
        namedJoins = version.map { ($0, areUsed) }
        return areUsed
    }

    /// The names of tables, views and modules.
    func tableNames() throws(SQLiteError) -> TableNames {
        // The temporary schema has no version that can be read at once.
        let version = authorizer.isTainted ? nil : version()
        if let names, names.version == version { return names.names }
        let sql = """
            SELECT name FROM sqlite_schema UNION SELECT name FROM sqlite_temp_schema UNION
            SELECT name FROM pragma_module_list WHERE name NOT IN ('json_each', 'json_tree')
            """
        let read = TableNames(
            try connection.query(sql).compactMap { row in
                if case .text(let name)? = row.first { name } else { nil }
            }
        )
        names = version.map { ($0, read) }
        return read
    }

    /// The schema as a client with a list of tables may know it.
    func visible(_ readable: TableNames) throws(SQLiteError) -> VisibleSchema {
        handlers.isInterruptible = false
        defer { handlers.isInterruptible = true }
        return try authorizer.unguarded { () throws(SQLiteError) in
            // The temporary schema belongs to the client.
            let version = try connection.query("PRAGMA main.schema_version")
            if let visible, visible.readable == readable, visible.version == version { return visible.schema }
            let schema = try VisibleSchema(of: connection, readable: readable)
            visible = (version, readable, schema)
            return schema
        }
    }

    /// Runs SQL that reads less than a page, and waits for no lock.
    private func impatiently<R>(_ body: () throws(SQLiteError) -> R) throws(SQLiteError) -> R {
        handlers.isPatient = false
        defer { handlers.isPatient = true }
        return try authorizer.unguarded(body)
    }
}
