import ChangeCapture
import SQLiteConnection

/// Writes one row by its key: reads it, compares it with the values that the client saw, writes it, and reads the
/// result after the triggers.
///
/// Runs within a transaction that surrounds all of it, on the writer's thread. Every statement is compiled under the policy
/// of the request, so that a row can be written exactly where the same client could write it with SQL.
struct RowWriter {
    private let write: RowWrite
    private let run: QueryRun
    private let session: WriterSession
    private let maxRowBytes: Int

    init(_ write: RowWrite, run: QueryRun, session: WriterSession) {
        self.write = write
        self.run = run
        self.session = session
        maxRowBytes = run.maxRowBytes
    }

    func execute() throws {
        let table = try WritableTable(write.table, policy: run.query.request.policy, session.guarded)
        try check(write.values, of: table, mustBeStored: true)
        try check(write.before, of: table, mustBeStored: false)
        var identity: RowIdentity?
        if write.operation != .insert { identity = try find(in: table) }
        // A rule about the rows that a client may write belongs here (the row before) and after the write (the row
        // after).
        let written = try change(table, identity)
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

    /// The one row that the key names, if it is as the client saw it.
    private func find(in table: WritableTable) throws -> RowIdentity {
        let condition = try table.condition(for: write)
        // With a rowid the key is only one of the values that the client saw.
        let expected = write.before + (write.rowid == nil ? [] : write.key.filter { table.column($0.column) != nil })
        let identifying = table.identifyingColumns
        let columns = identifying + expected.map { SQLText.identifier($0.column) }
        let rows = try rows(
            "SELECT \(columns.joined(separator: ", ")) FROM \(table.sql) WHERE \(condition.sql) LIMIT 2",
            condition.values
        )
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
        var names = write.values.map { SQLText.identifier($0.column) }
        var values = write.values.map(\.value)
        let condition = identity.map { table.condition(for: $0) }
        var sql: String
        switch write.operation {
        case .insert:
            if let rowid = write.rowid, let name = try table.rowidToInsert(beside: write.values) {
                names.append(name)
                values.append(.integer(rowid))
            }
            sql = "INSERT INTO \(table.sql) \(SQLText.insertion(of: names))"
        case .update:
            sql = "UPDATE \(table.sql) SET \(names.map { "\($0) = ?" }.joined(separator: ", "))"
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
        let columns = table.columns.map { SQLText.identifier($0.name) }.joined(separator: ", ")
        let rows = try rows("SELECT \(columns) FROM \(table.sql) WHERE \(condition.sql)", condition.values)
        guard let row = rows.first else { return nil }
        let bytes = row.reduce(0) { $0 + $1.byteCount }
        guard bytes <= maxRowBytes else {
            throw QueryFailure(.tooBig, "the row has \(bytes) bytes; a row may have \(maxRowBytes)")
        }
        return RowImage(cells: zip(table.columns, row).map { RowWrite.Cell($0.name, $1) }, rowid: identity.rowid)
    }

    /// Runs one statement under the request's policy.
    private func rows(_ sql: String, _ values: [SQLiteValue]) throws -> [[SQLiteValue]] {
        let guarded = session.guarded
        guarded.authorizer.forgetStatement()
        var statement = try guarded.connection.prepare(sql)
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

    fileprivate var byteCount: Int {
        switch self {
        case .null: 4
        case .integer, .real: 8
        case .text(let text): text.utf8.count
        case .malformedText(let bytes), .blob(let bytes): bytes.count
        }
    }
}
