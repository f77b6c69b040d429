import CSQLite

extension Connection {
    /// The collation that comparisons with a column of a table use, in upper case for SQLite's own; nil where there is no such
    /// table or column.
    ///
    /// Source: [sqlite3_table_column_metadata](https://sqlite.org/c3ref/table_column_metadata.html).
    package func collation(ofColumn column: String, of table: String, in database: String = "main") -> String? {
        var name: UnsafePointer<CChar>?
        let code = sqlite3_table_column_metadata(handle, database, table, column, nil, &name, nil, nil, nil)
        guard code == SQLITE_OK, let name else { return nil }
        return String(cString: name)
    }
}
