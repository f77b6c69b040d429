package import ChangeCapture
package import SQLiteConnection

/// The values that columns read in older rows: determined by a row without fields in a real file with the same table
/// declaration.
package enum AddedColumns {
    /// For each column of a table that can have been added, its value in such a row; NULL for the others.
    package static func missingValues(of table: TableDescription) throws(SQLiteError) -> [SQLiteValue] {
        let added = table.columns.indices.filter { column in
            table.columns[column].visibility == .normal && column != table.rowidAlias
        }
        var values = [SQLiteValue](repeating: .null, count: table.columns.count)
        guard !added.isEmpty else { return values }
        let path = "\(TemporaryFiles.directory)/added-columns-\(UInt64.random(in: 0...UInt64.max)).db"
        defer { TemporaryFiles.remove(path) }
        try makeFile(path, table)
        // The file ends with the record: the size of its header, the type of its field, and the value. A header of size 0 has
        // no field, not even the first.
        TemporaryFiles.overwrite(path, atEnd: [2, 1, 2], with: [0, 1, 2])
        let names = added.map { SQLName(table.columns[$0].name).quoted }.joined(separator: ", ")
        let source = table.hasRowid ? "NOT INDEXED" : ""
        let rows = try Connection(path: path, mode: .readOnly)
            .query("SELECT \(names) FROM \(SQLName(table.name).quoted) \(source)")
        for (column, value) in zip(added, rows.first ?? []) { values[column] = value }
        return values
    }

    private static func makeFile(_ path: String, _ table: TableDescription) throws(SQLiteError) {
        let connection = try Connection(path: path, mode: .readWriteCreate)
        let name = SQLName(table.name).quoted
        try connection.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
        try connection.execute(
            table.hasRowid
                ? "CREATE TABLE \(name)(k); INSERT INTO \(name) VALUES(2)"
                : "CREATE TABLE \(name)(k PRIMARY KEY) WITHOUT ROWID; INSERT INTO \(name) VALUES(2)"
        )
        try connection.execute("PRAGMA writable_schema = ON")
        _ = try connection.query("UPDATE sqlite_schema SET sql = ? WHERE type = 'table'", [.text(table.sql)])
    }
}
