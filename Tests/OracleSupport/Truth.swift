package import ChangeCapture
package import SQLiteConnection

/// What a database really holds: read by a plain connection of its own that knows no hook.
package final class Truth {
    /// The rows of one table, by rowid or primary key.
    package struct Table: Equatable {
        package var rows: [RowIdentity: Row] = [:]
    }

    package private(set) var tables: [SQLName: Table] = [:]
    package private(set) var schema = SchemaSnapshot()
    /// The `CREATE` statements of everything but tables that SQLite keeps for itself.
    package private(set) var objects: [SQLName: SQLName] = [:]

    private let connection: Connection
    private var scans: [SQLName: Scan] = [:]

    private final class Scan {
        var statement: Statement
        let identity: [Int]?
        let columnCount: Int

        init(_ table: TableDescription, on connection: Connection) throws(SQLiteError) {
            let hidden = table.columns.map { SQLName($0.name) }
            let rowid = ["rowid", "_rowid_", "oid"].first { name in
                !hidden.contains { SQLName.areEqualIgnoringCase($0.string.utf8, name.utf8) }
            }
            identity = table.hasRowid || table.kind == .virtual ? nil : table.primaryKey
            columnCount = table.columns.count { $0.visibility != .hidden }
            let key = identity == nil ? rowid ?? "rowid" : "NULL"
            statement = try connection.prepare("SELECT *, \(key) FROM \(SQLName(table.name).quoted)")
        }
    }

    package init(path: String) throws(SQLiteError) {
        connection = try Connection(path: path, mode: .readOnly)
    }

    /// Reads everything as it is committed now.
    package func read() throws(SQLiteError) {
        try connection.execute("BEGIN")
        defer { try? connection.execute("COMMIT") }
        if try SchemaSnapshot.readVersion(from: connection) != schema.version { try readSchema() }
        var tables: [SQLName: Table] = [:]
        for (name, scan) in scans { tables[name] = try rows(scan) }
        self.tables = tables
    }

    private func readSchema() throws(SQLiteError) {
        schema = try SchemaSnapshot.load(from: connection)
        objects = [:]
        for row in try connection.query(
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ) {
            guard case .text(let name) = row[0], case .text(let sql) = row[1] else { continue }
            if schema.tables[SQLName(name)]?.isShadow != true { objects[SQLName(name)] = SQLName(sql) }
        }
        scans = [:]
        for table in schema.visibleTables where table.description.kind != .view {
            scans[table.name] = try Scan(table.description, on: connection)
        }
    }

    private func rows(_ scan: Scan) throws(SQLiteError) -> Table {
        var table = Table()
        while try scan.statement.step() {
            let row = Row((0..<scan.columnCount).map { scan.statement.value($0) })
            let identity: RowIdentity =
                scan.identity.map { .key(row.selecting($0)) } ?? .rowid(scan.statement.integer(scan.columnCount))
            table.rows[identity] = row
        }
        return table
    }
}

/// By what a row is known.
package enum RowIdentity: Hashable, Sendable {
    case rowid(Int64)
    case key(Row)
}
