import ChangeCapture
import SQLiteConnection

/// Writes one row by its key: reads it, compares it with the values that the client saw, writes it, and reads the
/// result after the triggers.
///
/// Runs within a transaction that surrounds all of it, on the writer's thread. Every statement is compiled under the policy
/// of the request, so that a row can be written exactly where the same client could write it with SQL.
///
/// With row rules the row must satisfy its table's rule before the write and the rule's check after it. A row that the rule hides
/// does not exist for the client. Constraints compare with all rows, as in any database: a conflict reveals that a row
/// with the client's own value exists, and nothing else of it.
struct RowWriter {
    private let write: RowWrite
    private let run: QueryRun
    private let session: WriterSession
    private let maxRowBytes: Int
    private let rules: SQLRowRules?

    init(_ write: RowWrite, run: QueryRun, session: WriterSession) {
        self.write = write
        self.run = run
        self.session = session
        maxRowBytes = run.maxRowBytes
        rules = run.query.request.policy.rowRules
    }

    func execute() throws {
        let table = try WritableTable(write.table, policy: run.query.request.policy, session.guarded)
        try check(write.values, of: table, mustBeStored: true)
        try check(write.before, of: table, mustBeStored: false)
        if let rules { return try execute(on: table, under: rules) }
        let identity = write.operation == .insert ? nil : try find(in: table, nil)
        try report(try change(table, identity), in: table)
    }

    private func execute(on table: WritableTable, under rules: SQLRowRules) throws {
        // Without the hook the changes of triggers and foreign keys cannot be checked.
        guard Library.hasPreUpdateHook else {
            throw QueryFailure(
                .notAuthorized,
                "this SQLite library lacks the pre-update hook, without which row rules do not permit writing"
            )
        }
        let rule = rules.rule(for: table.name)
        var changes = RuledChanges(rules)
        try session.guarded.writingRow(under: rules, watch: { changes.note($0) }) {
            if let rule { try checkFit(rule, to: table) }
            let identity = write.operation == .insert ? nil : try find(in: table, rule)
            let written = try change(table, identity)
            if let rule, let written, write.operation != .delete { try require(rule.check, of: written, in: table) }
            try check(changes, of: table, identity, rules)
            // With a check of its own a row can be written that the client may not see.
            if let rule, let written, try satisfies(rule.condition, written, in: table) != true { return }
            try report(written, in: table)
        }
    }

    /// Gives the sink the written row as it is now, unless it is gone.
    private func report(_ written: RowIdentity?, in table: WritableTable) throws {
        guard write.operation != .delete, let written else { return }
        if let image = try image(of: written, in: table) { run.query.sink.row(image) }
    }

    // MARK: Steps

    /// The named columns must exist; those to be written must be stored.
    private func check(_ cells: [RowWrite.Cell], of table: WritableTable, mustBeStored: Bool) throws(QueryFailure) {
        for cell in cells {
            guard let column = table.column(cell.column) else {
                throw QueryFailure(.sqlError, "table \(table.name) has no column named \(cell.column)")
            }
            if mustBeStored, column.isGenerated {
                throw QueryFailure(.sqlError, "\(column.name) is a generated column, which cannot be written")
            }
        }
    }

    /// The one row that the key names, if the client may see it and it is as the client saw it.
    private func find(in table: WritableTable, _ rule: SQLRowRules.Rule?) throws -> RowIdentity {
        let condition = try table.condition(for: write)
        // On separate lines, so that a comment at the end of the rule does not swallow the parenthesis.
        let permitted = rule.map { " AND (\n\($0.condition)\n)" } ?? ""
        // With a rowid the key is only one of the values that the client saw.
        let expected = write.before + (write.rowid == nil ? [] : write.key.filter { table.column($0.column) != nil })
        let identifying = table.identifyingColumns
        let columns = identifying + expected.map { $0.column.quotedAsIdentifier }
        let sql =
            "SELECT \(columns.joined(separator: ", ")) FROM \(table.sql) WHERE \(condition.sql)\(permitted) LIMIT 2"
        let rows =
            rule == nil ? try rows(sql, condition.values) : try ruledRows(sql, condition.values) ?? []
        guard let row = rows.first else {
            throw QueryFailure(.conflict, "there is no such row in \(table.name) any more")
        }
        if rows.count > 1 {
            throw QueryFailure(
                .sqlError,
                "the key names more than one row of \(table.name), for it contains NULL: give the rowid"
            )
        }
        let identity = table.identity(Array(row.prefix(identifying.count)))
        let found = row.dropFirst(identifying.count)
        let changed = zip(expected, found).filter { !$0.value.isSame(as: $1) }.map { $0.0.column }
        if !changed.isEmpty {
            if let image = try image(of: identity, in: table) { run.query.sink.row(image) }
            throw QueryFailure(
                .conflict,
                "the row of \(table.name) has changed meanwhile: \(changed.joined(separator: ", "))"
            )
        }
        return identity
    }

    /// Returns: the identity of the row afterwards; nil when it is gone, or a trigger has ignored the write without an
    /// error.
    private func change(_ table: WritableTable, _ identity: RowIdentity?) throws -> RowIdentity? {
        var names = write.values.map { $0.column.quotedAsIdentifier }
        var values = write.values.map(\.value)
        let condition = identity.map { table.condition(for: $0) }
        // The clauses of constraints could replace or ignore rows that the client may not see.
        let conflict = rules == nil ? "" : " OR ABORT"
        var sql: String
        switch write.operation {
        case .insert:
            if let rowid = write.rowid, let name = try table.rowidToInsert(beside: write.values) {
                names.append(name)
                values.append(.integer(rowid))
            }
            sql = "INSERT\(conflict) INTO \(table.sql) \(SQLText.insertion(of: names))"
        case .update:
            sql = "UPDATE\(conflict) \(table.sql) SET \(names.map { "\($0) = ?" }.joined(separator: ", "))"
        case .delete:
            sql = "DELETE FROM \(table.sql)"
        }
        if let condition {
            sql += " WHERE \(condition.sql)"
            values += condition.values
        }
        if write.operation != .delete { sql += " RETURNING \(table.identifyingColumns.joined(separator: ", "))" }
        let before = session.guarded.connection.totalChanges
        try session.capture?.statementWillRun(isVacuum: false, isAlone: false)
        let returned: [[SQLiteValue]]
        do {
            returned = try rows(sql, values)
            session.capture?.statementDidRun(failed: false)
        } catch {
            session.capture?.statementDidRun(failed: true)
            throw error
        }
        let connection = session.guarded.connection
        guard connection.totalChanges != before else { return identity }
        run.changes += connection.changes
        if write.operation == .insert, !table.isWithoutRowid { run.lastInsertRowid = connection.lastInsertRowid }
        return returned.first.map { table.identity($0) }
    }

    private func image(of identity: RowIdentity, in table: WritableTable) throws -> RowImage? {
        let condition = table.condition(for: identity)
        let columns = table.columns.map { $0.name.quotedAsIdentifier }.joined(separator: ", ")
        let rows = try rows("SELECT \(columns) FROM \(table.sql) WHERE \(condition.sql)", condition.values)
        guard let row = rows.first else { return nil }
        let bytes = row.reduce(0) { $0 + $1.byteCount }
        guard bytes <= maxRowBytes else {
            throw QueryFailure(.tooBig, "the row has \(bytes) bytes; a row may have \(maxRowBytes)")
        }
        return RowImage(cells: zip(table.columns, row).map { RowWrite.Cell($0.name, $1) }, rowid: identity.rowid)
    }

    // MARK: Rules

    private func checkFit(_ rule: SQLRowRules.Rule, to table: WritableTable) throws {
        for condition in [rule.condition, rule.check] {
            session.guarded.authorizer.forgetStatement()
            do throws(SQLiteError) {
                try compile("SELECT 1 FROM \(table.sql) WHERE (\n\(condition)\n)")
            } catch {
                guard error.code.primary == .error || error.code.primary == .auth else { throw error }
                throw QueryFailure(
                    .notAuthorized,
                    "the table \(table.name) cannot be written: its row rule does not fit it"
                )
            }
        }
    }

    private func compile(_ sql: String) throws(SQLiteError) {
        let statement = try session.guarded.connection.prepare(sql)
        _ = consume statement
    }

    /// Checks what triggers and foreign keys have changed in tables with a rule.
    private func check(
        _ changes: RuledChanges,
        of table: WritableTable,
        _ row: RowIdentity?,
        _ rules: SQLRowRules
    ) throws {
        guard !changes.isOverflown else {
            throw QueryFailure(
                .tooBig,
                "the write changes more than \(RuledChanges.maxChanges) rows of tables with row rules"
            )
        }
        guard !changes.changes.isEmpty else { return }
        var tables = [SQLRowRules.folded(table.name): table]
        for name in Set(changes.changes.map(\.table)) where tables[name] == nil {
            tables[name] = try WritableTable(name, policy: run.query.request.policy, session.guarded)
        }
        let rows: [String: Set<Int64>]
        do throws(RuledChanges.OtherRow) {
            let withoutRowids = Set(tables.filter { $0.value.isWithoutRowid }.keys)
            rows = try changes.rowsToCheck(row?.rowid.map { (table.name, $0) }, withoutRowids: withoutRowids)
        } catch {
            throw QueryFailure(
                .notAuthorized,
                "a trigger or foreign key changes other rows of the table \(error.table), which has a row rule"
            )
        }
        for (name, rowids) in rows {
            guard let table = tables[name], let rule = rules.rule(for: name) else { continue }
            for rowid in rowids { try require(rule.check, of: .rowid(rowid), in: table) }
        }
    }

    /// Throws unless the row satisfies the check, or is gone.
    private func require(_ check: String, of row: RowIdentity, in table: WritableTable) throws {
        guard try satisfies(check, row, in: table) == false else { return }
        throw QueryFailure(
            .notAuthorized,
            "the row rule of the table \(table.name) does not permit the row as it would be written"
        )
    }

    /// Whether the row satisfies a rule; nil when there is no such row.
    private func satisfies(_ condition: String, _ row: RowIdentity, in table: WritableTable) throws -> Bool? {
        let identity = table.condition(for: row)
        let sql = "SELECT (\n\(condition)\n) IS TRUE FROM \(table.sql) WHERE \(identity.sql)"
        guard let rows = try ruledRows(sql, identity.values) else { return false }
        return rows.first.map { $0.first == .integer(1) }
    }

    /// The rows of a statement with a rule's condition; nil when it fails on a row, which it does not permit then.
    private func ruledRows(_ sql: String, _ values: [SQLiteValue]) throws -> [[SQLiteValue]]? {
        do {
            return try rows(sql, values)
        } catch {
            guard let code = (error as? SQLiteError)?.code.primary, code == .error || code == .tooBig else {
                throw error
            }
            return nil
        }
    }

    /// Runs one statement under the request's policy.
    private func rows(_ sql: String, _ values: [SQLiteValue]) throws -> [[SQLiteValue]] {
        let guarded = session.guarded
        guarded.authorizer.forgetStatement()
        var statement = try guarded.connection.prepare(sql)
        try guarded.checkOpened(statement)
        try guarded.authorizer.check(statement)
        guarded.boundValues()
        for (index, value) in values.enumerated() { try statement.bind(value, at: index + 1) }
        var rows: [[SQLiteValue]] = []
        while try statement.step() { rows.append((0..<statement.columnCount).map { statement.value($0) }) }
        return rows
    }
}

extension SQLiteValue {
    /// Whether a value that passed through JSON, where 3.0 can arrive as 3, equals the stored one.
    fileprivate func isSame(as other: SQLiteValue) -> Bool {
        switch (self, other) {
        case (.integer(let integer), .real(let real)), (.real(let real), .integer(let integer)):
            Int64(exactly: real) == integer
        case (.real(let one), .real(let other)): one == other
        default: self == other
        }
    }
}
