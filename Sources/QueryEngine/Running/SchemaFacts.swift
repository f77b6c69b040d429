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
    /// What views and triggers may read without a call of the authorizer.
    private var unreported: (version: Int64, reads: UnreportedReads)?
    private var virtualTables: (version: Int64, tables: VirtualTables)?
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

    /// What a view or a trigger may read without a call of the authorizer: see ``OpenedTables``.
    func unreportedReads() throws(SQLiteError) -> UnreportedReads {
        let version = version()
        if let unreported, unreported.version == version { return unreported.reads }
        let rows = try authorizer.unguarded { () throws(SQLiteError) in
            try connection.query("SELECT sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger')")
        }
        var reads: UnreportedReads = []
        for case .text(let sql)? in rows.map(\.first) { reads.formUnion(UnreportedReads(sql)) }
        unreported = version.map { ($0, reads) }
        return reads
    }

    /// The policy with the virtual tables that it permits: see ``VirtualTables``.
    func resolved(_ policy: SQLPolicy) throws(SQLiteError) -> SQLPolicy {
        guard policy.restrictsTables else { return policy }
        let virtual = try currentVirtualTables()
        var resolved = policy
        if let readable = policy.readableTables {
            let rules = policy.rowRules.map { RowRuleAccess($0) }
            let forbidden = virtual.forbidden { readable.contains($0) && rules?.isRuled($0) != true }
            let permitted = readable.subtracting(forbidden)
            resolved.readableTables = permitted.union(virtual.shadows(where: permitted.contains))
        }
        if let writable = policy.writableTables {
            // An R-tree compiles its writes when it is first read. SQLite prevents statements from writing to shadow tables.
            let isUsed = { name in resolved.readableTables?.contains(name) ?? true }
            resolved.writableTables = writable.union(virtual.shadows(where: isUsed))
        }
        return resolved
    }

    private func currentVirtualTables() throws(SQLiteError) -> VirtualTables {
        let version = version()
        if let virtualTables, virtualTables.version == version { return virtualTables.tables }
        handlers.isInterruptible = false
        defer { handlers.isInterruptible = true }
        let tables = try authorizer.unguarded { () throws(SQLiteError) in try VirtualTables(of: connection) }
        virtualTables = version.map { ($0, tables) }
        return tables
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
