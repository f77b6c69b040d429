package import ChangeCapture
package import SQLiteConnection

/// What columns read in rows that are older than they: found out by a row of one field in a real file, whose table is
/// then declared otherwise.
package enum AddedColumns {
    /// For each column of a table that can have been added, the value that it has in such a row; NULL for the others.
    package static func missingValues(of table: TableDescription) throws(SQLiteError) -> [SQLiteValue] {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let name = SQLName(table.name).quoted
        try connection.execute(
            table.hasRowid
                ? "CREATE TABLE \(name)(k); INSERT INTO \(name) VALUES(1)"
                : "CREATE TABLE \(name)(k PRIMARY KEY) WITHOUT ROWID; INSERT INTO \(name) VALUES(1)"
        )
        try connection.execute("PRAGMA writable_schema = ON")
        _ = try connection.query(
            "UPDATE sqlite_schema SET sql = ? WHERE type = 'table'",
            [.text(table.sql)]
        )
        try connection.execute("PRAGMA writable_schema = RESET")
        let added = table.columns.indices.filter { column in
            column > 0 && table.columns[column].visibility == .normal && !table.primaryKey.contains(column)
        }
        var values = [SQLiteValue](repeating: .null, count: table.columns.count)
        guard !added.isEmpty else { return values }
        let names = added.map { SQLName(table.columns[$0].name).quoted }.joined(separator: ", ")
        let source = table.hasRowid ? "NOT INDEXED" : ""
        for (column, value) in zip(added, try connection.query("SELECT \(names) FROM \(name) \(source)").first ?? []) {
            values[column] = value
        }
        return values
    }
}
