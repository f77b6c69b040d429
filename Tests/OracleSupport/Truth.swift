package import ChangeCapture
package import SQLiteConnection

/// The actual content of a database: read by a separate plain connection without hooks.
package final class Truth {
    /// The rows of one table, by rowid or primary key.
    package struct Table: Equatable {
        package var rows: [RowIdentity: Row] = [:]
        /// Columns have taken every name of the rowid: the rows are known, but not their rowids.
        package var isAnonymous = false

        /// How often each row is there.
        package static func counts(_ rows: [RowIdentity: Row]) -> [Row: Int] {
            rows.values.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
    }

    package private(set) var tables: [SQLName: Table] = [:]
    package private(set) var schema = SchemaSnapshot()
    /// The `CREATE` statements of everything except SQLite's internal tables.
    package private(set) var objects: [SQLName: SQLName] = [:]

    private let path: String
    private var connection: Connection
    private var scans: [SQLName: Scan] = [:]

    private final class Scan {
        var statement: Statement
        let identity: [Int]?
        let isAnonymous: Bool
        let columnCount: Int

        init(_ table: TableDescription, on connection: Connection) throws(SQLiteError) {
            let hidden = table.columns.map { SQLName($0.name) }
            let rowid = ["rowid", "_rowid_", "oid"].first { name in
                !hidden.contains { SQLName.areEqualIgnoringCase($0.string.utf8, name.utf8) }
            }
            identity = table.hasRowid || table.kind == .virtual ? nil : table.primaryKey
            columnCount = table.columns.count { $0.visibility != .hidden }
            isAnonymous = table.kind == .table && table.hasRowid && rowid == nil
            let key = identity == nil ? rowid ?? "NULL" : "NULL"
            // An index may contain another encoding of an equal value.
            let source = table.kind == .table && table.hasRowid ? "NOT INDEXED" : ""
            statement = try connection.prepare("SELECT *, \(key) FROM \(SQLName(table.name).quoted) \(source)")
        }
    }

    package init(path: String) throws(SQLiteError) {
        self.path = path
        connection = try Connection(path: path, mode: .readOnly)
    }

    /// Forgets the schema, which can have changed without a change of the cookie.
    package func reopen() throws(SQLiteError) {
        scans = [:]
        schema = SchemaSnapshot()
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
            // It reads a user table, which can be missing, and is checked separately.
            if table.description.kind == .virtual, table.description.sql.contains("content=") { continue }
            scans[table.name] = try Scan(table.description, on: connection)
        }
    }

    private func rows(_ scan: Scan) throws(SQLiteError) -> Table {
        var table = Table(isAnonymous: scan.isAnonymous)
        while try scan.statement.step() {
            let row = Row((0..<scan.columnCount).map { scan.statement.value($0) })
            let rowid = scan.isAnonymous ? Int64(table.rows.count) : scan.statement.integer(scan.columnCount)
            let identity: RowIdentity = scan.identity.map { .key(row.selecting($0)) } ?? .rowid(rowid)
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
