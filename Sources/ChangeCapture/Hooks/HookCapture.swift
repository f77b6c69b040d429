package import SQLiteConnection

/// Captures the changes of one connection's transactions: owns its pre-update hook, and coalesces the reported changes
/// of each transaction into a ``ChangeSet``.
///
/// The owner of the connection runs its statements, its authorizer and its transactions, and keeps to this order, all
/// on the connection's thread:
///
/// 1. The authorizer first calls ``observe(_:)`` for every request. When it returns true, the request belongs to the
///    capture itself and must be allowed.
/// 2. ``statementWillRun()`` before the first step of every statement that can write, with a transaction open: the
///    client's, or one that was begun around the statement (`BEGIN IMMEDIATE`), so that rows can be read again before
///    they are committed. Call it also for a statement that cannot run in a transaction (`VACUUM`, some pragmas).
/// 3. ``statementDidRun(failed:)`` after its last step. Call it also, with `failed`, after a `ROLLBACK TO`.
/// 4. ``transactionWillCommit()`` before every `COMMIT`, and every `RELEASE` that may commit. When it throws, the
///    transaction must not be committed.
/// 5. ``transactionDidCommit()`` when the connection is back in autocommit without an error: the change set is durable and
///    may be published. When the commit failed and the transaction stays open, continue with 2.
/// 6. ``transactionDidRollBack()`` when it is back in autocommit for any other reason.
package final class HookCapture {
    /// The detail that the next transaction keeps of each row; it does not affect the open transaction.
    package var level: CaptureLevel
    /// The memory limits of the next transaction.
    package var limits: CaptureLimits

    let connection: Connection
    var log: TransactionLog
    var trail: SchemaTrail
    // By name in the current schema.
    var shapes: [SQLName: TableShape] = [:]
    var readers: [SQLName: RowReader?] = [:]
    /// Nil until a table with rows is altered. Valid while the database has tables, because its encoding is fixed then.
    var records: RecordReader?

    private var isRunningOwnStatement = false
    private(set) var observed = StatementTraits()
    private var isOpen = false
    private var isBaseVerified = false
    /// The statement after which the schema must be checked again.
    private var schemaMovedAt: UInt32?
    private var prepared: ChangeSet?
    /// Tables whose rowids the running `VACUUM` can change.
    private var sparseTables: [TableDescription] = []
    private let versionStatement: ReusableStatement

    /// Installs the connection's pre-update hook, until the capture is deinitialized. The connection must be outside of
    /// a transaction, and this the only capture on it. Fails when the library has no such hook.
    package init(
        _ connection: Connection,
        level: CaptureLevel = .values,
        limits: CaptureLimits = CaptureLimits()
    ) throws(SQLiteError) {
        // Without the pre-update hook changes would be missed silently: the update hook reports too little to replace
        // it.
        guard Library.hasPreUpdateHook else {
            throw SQLiteError(
                code: .misuse,
                message: """
                    the SQLite library (version \(Library.version)) was built without SQLITE_ENABLE_PREUPDATE_HOOK, \
                    by which changes are captured; use one that has it, such as that of Debian or Ubuntu
                    """
            )
        }
        self.connection = connection
        self.level = level
        self.limits = limits
        log = TransactionLog(level: level, limits: limits)
        trail = SchemaTrail(base: try SchemaSnapshot.load(from: connection))
        versionStatement = try ReusableStatement("PRAGMA main.schema_version", on: connection)
        // The hook is removed before self is deinitialized: counting references would cost more per row than recording
        // one.
        connection.setPreUpdateHook { [unowned(unsafe) self] event in record(event) }
    }

    deinit { connection.setPreUpdateHook(nil) }

    /// The schema as of the last commit that the capture knows; within a transaction, that transaction's schema.
    package var schema: SchemaSnapshot { trail.current }

    /// Examines a request of the connection's authorizer; true when the statement is the capture's own, which no policy
    /// restricts.
    package func observe(_ request: borrowing AuthorizerRequest) -> Bool {
        if isRunningOwnStatement { return true }
        observed.observe(request)
        return false
    }

    /// Runs the capture's own statements.
    func internally<R>(_ body: () throws(SQLiteError) -> R) throws(SQLiteError) -> R {
        let wasRunning = isRunningOwnStatement
        isRunningOwnStatement = true
        defer { isRunningOwnStatement = wasRunning }
        return try body()
    }

    // MARK: Statements

    /// Call before a statement runs. Reads the schema where it may have changed.
    ///
    /// - Parameters:
    ///   - isVacuum: the statement is a `VACUUM`.
    ///   - isAlone: it is the only statement of its transaction, which is rolled back when it fails: then less of the
    ///     changed rows must be kept. The statement must have been compiled since the last one ended.
    package func statementWillRun(isVacuum: Bool = false, isAlone: Bool = false) throws(SQLiteError) {
        prepared = nil
        if !isOpen { open() }
        sparseTables = isVacuum ? try findSparseTables() : []
        // Outside of a transaction another process can change the schema at any time; statements that run there touch
        // no rows.
        if !connection.isInAutocommit { try followSchema() }
        log.statementBegins(isAlone: isAlone)
    }

    private func open() {
        log.begin(level: level, limits: limits)
        isBaseVerified = false
        schemaMovedAt = nil
        isOpen = true
    }

    /// Call after a statement ended.
    ///
    /// - Parameter failed: it ended with an error, or it was a `ROLLBACK TO`. No hook reports what it undid.
    package func statementDidRun(failed: Bool) {
        guard isOpen else { return }
        log.statementEnds(failed: failed, isRollbackTo: observed.isRollbackTo)
        if observed.mayChangeSchema || (failed && trail.hasSteps) { schemaMovedAt = schemaMovedAt ?? log.rows.ordinal }
        observed = StatementTraits()
        if !failed, !sparseTables.isEmpty { noteRenumberedTables() }
    }

    // MARK: Transactions

    /// Call before the transaction commits: reads again the rows that may have been undone, and makes the change set.
    package func transactionWillCommit() throws(SQLiteError) {
        prepared = nil
        guard isOpen, !connection.isInAutocommit else { return }
        try followSchema()
        prepared = try internally { () throws(SQLiteError) in try log.changeSet(trail, from: self) }
    }

    /// Call when the transaction is durable. Returns its changes, which can be empty.
    package func transactionDidCommit() -> ChangeSet {
        defer { close() }
        followColumnsOfOtherTables()
        trail.commit()
        return prepared ?? ChangeSet(origin: .service, events: [])
    }

    /// Describes views and virtual tables as a new connection does: this one keeps the columns of a view that were read before a
    /// table of it was dropped, and a virtual table that stays connected to its module keeps the columns that it read from
    /// another table, such as FTS4 with `content=`.
    ///
    /// Call it only after the commit: a module that reconnects within a transaction loses what it keeps in memory.
    private func followColumnsOfOtherTables() {
        guard trail.hasSteps, trail.current.tables.values.contains(where: { $0.description.kind != .table }) else {
            return
        }
        do throws(SQLiteError) {
            try internally { () throws(SQLiteError) in
                try connection.execute("PRAGMA writable_schema = RESET")
                let schema = try SchemaSnapshot.load(from: connection, reusing: trail.current)
                // Another process can have committed since.
                guard schema.version == trail.current.version else { return }
                trail.replaceCurrent(schema)
                prepared?.follow(trail)
            }
        } catch {
            // The transaction is committed: its rows are right, and the next change of the schema brings the columns.
        }
    }

    /// Call when the whole transaction was rolled back.
    package func transactionDidRollBack() {
        if trail.hasSteps { forgetShapes() }
        trail.rollBack()
        close()
    }

    private func close() {
        prepared = nil
        isOpen = false
        observed = StatementTraits()
        log.begin(level: level, limits: limits)
    }

    // MARK: Vacuum

    /// "If a table has no explicit INTEGER PRIMARY KEY, VACUUM can change its rowids"
    /// ([sqlite.org](https://sqlite.org/lang_vacuum.html)): it renumbers them from 1, unless an index prevents that.
    private func findSparseTables() throws(SQLiteError) -> [TableDescription] {
        try internally { () throws(SQLiteError) in
            var found: [TableDescription] = []
            for table in try SchemaSnapshot.load(from: connection, reusing: trail.base).visibleTables
            where table.description.hasRowid && table.description.rowidAlias == nil {
                if try isSparse(table.description) { found.append(table.description) }
            }
            return found
        }
    }

    private func isSparse(_ table: TableDescription) throws(SQLiteError) -> Bool {
        guard let rowid = table.rowidName else { return true }
        let name = SQLName(table.name).quoted
        let row = try connection.query(
            "SELECT count(*) = 0 OR (min(\(rowid)) = 1 AND max(\(rowid)) = count(*)) FROM main.\(name)"
        ).first
        return row != [.integer(1)]
    }

    /// VACUUM may renumber rowids: reports the table as changed, so that clients read it again.
    private func noteRenumberedTables() {
        let renumbered = sparseTables.filter { table in
            // A table counts as changed when it cannot be read, or when no name reaches its rowid.
            table.rowidName == nil
                || (try? internally { () throws(SQLiteError) in try !isSparse(table) }) ?? true
        }
        sparseTables = []
        guard !renumbered.isEmpty else { return }
        prepared = ChangeSet(
            origin: .service,
            events: renumbered.map { .rows(TableRows(changedTable: $0)) }
        )
    }

    // MARK: Schema

    /// Ensures that the trail ends with the schema of the open transaction.
    private func followSchema() throws(SQLiteError) {
        guard !isBaseVerified || schemaMovedAt != nil else { return }
        try internally { () throws(SQLiteError) in
            let version = try versionStatement.integer()
            let connection = connection
            if !isBaseVerified {
                // Another process can have changed the schema since the last transaction; from now on none can.
                if version != trail.base.version {
                    trail.rebase(try SchemaSnapshot.load(from: connection, reusing: trail.base))
                    forgetShapes()
                }
                isBaseVerified = true
            }
            guard let ordinal = schemaMovedAt else { return }
            let movement = try trail.move(to: version, ordinal: ordinal) { (known) throws(SQLiteError) in
                try SchemaSnapshot.load(from: connection, reusing: known)
            }
            schemaMovedAt = nil
            switch movement {
            case .none: break
            case .forward: forgetShapes()
            case .back(let firstUndone):
                forgetShapes()
                log.forget(touchedFirstSince: firstUndone)
            }
        }
    }

    private func forgetShapes() {
        shapes = [:]
        readers = [:]
        log.forgetTables()
    }
}

extension HookCapture {
    /// The pre-update hook.
    func record(_ event: borrowing PreUpdate) {
        if recordKnown(event) { return }
        learn(event)
        _ = recordKnown(event)
    }

    @inline(__always)
    private func recordKnown(_ event: borrowing PreUpdate) -> Bool {
        log.record(event) { shape, key, encoder in readBefore(shape, key, &encoder) }
    }

    /// Determines the table of an event.
    @inline(never)
    private func learn(_ event: borrowing PreUpdate) {
        guard event.isInMain else { return log.ignore(event.tableIdentity) }
        let name = event.withTableName { SQLName(String(decoding: $0, as: UTF8.self)) }
        log.learn(event.tableIdentity, name, observed) { name, rows in makeTable(name, in: &rows) }
    }

    private func makeTable(_ name: SQLName, in rows: inout TouchedRows) -> Int? {
        // All rows of a table that is new in the transaction are new: they are read at the end.
        guard let table = trail.current.tables[name], table.description.kind == .table,
            let baseName = trail.baseName(of: name)
        else { return nil }
        return rows.table(baseName, shape(of: table), isShadow: table.isShadow)
    }

    private func shape(of table: SchemaSnapshot.Table) -> TableShape {
        if let known = shapes[table.name] { return known }
        let shape = TableShape(table)
        shapes[table.name] = shape
        return shape
    }

    /// The content of a row that the hook cannot report without loss, read before the change.
    ///
    /// SQLite's own session extension runs SQL within the pre-update hook too: the hook runs before the b-tree is
    /// changed, and the query nests in the running statement like that of a user-defined function.
    private func readBefore(_ shape: TableShape, _ key: RowKey, _ encoder: inout RecordEncoder) -> Bool {
        // A progress handler that interrupts the running statement also runs during this one, and not again
        // immediately.
        for _ in 0..<3 {
            let found = try? internally { () throws(SQLiteError) in
                try reader(of: shape)?.read(key, into: &encoder) ?? false
            }
            if let found { return found }
        }
        return false
    }

    private func reader(of shape: TableShape) throws(SQLiteError) -> RowReader? {
        let name = SQLName(shape.table.name)
        if let known = readers[name] { return known }
        let reader = try RowReader(shape, on: connection)
        readers[name] = .some(reader)
        return reader
    }
}

extension HookCapture: RowSource {
    func readRow(_ key: RowKey, of shape: TableShape, into encoder: inout RecordEncoder) throws(SQLiteError) -> Bool? {
        guard let reader = try reader(of: shape) else { return nil }
        return try reader.read(key, into: &encoder)
    }

    func allRows(
        of table: SchemaSnapshot.Table,
        level: CaptureLevel,
        limits: CaptureLimits
    ) throws(SQLiteError) -> TableRows? {
        try TableScan(TableShape(table), level: level, limits: limits).rows(from: connection)
    }

    func hasRows(_ table: SQLName) throws(SQLiteError) -> Bool {
        try !connection.query("SELECT 1 FROM main.\(table.quoted) LIMIT 1").isEmpty
    }

    func recordReader() throws(SQLiteError) -> RecordReader {
        if let records { return records }
        let reader = try RecordReader(encoding: try TextEncoding.read(from: connection))
        records = reader
        return reader
    }
}
