import SQLiteConnection

/// Fills in the VIRTUAL generated columns of decoded rows: no page holds their values, SQLite computes them when it reads.
enum VirtualColumns {
    /// Replaces the NULLs that stand for these columns in `rows`, on one side of a commit.
    ///
    /// - Parameters:
    ///   - image: the row before the commit or the one after it.
    ///   - name: the table's name on that side.
    ///   - connection: shows the database as of that side.
    static func fill(
        _ image: WritableKeyPath<RowChange, Row?>,
        of rows: inout TableRows,
        named name: String,
        from connection: Connection
    ) throws(SQLiteError) {
        let table = rows.table
        // Where columns have taken every name of the rowid there is no way to ask for one row.
        if table.hasRowid, table.rowidName == nil { return }
        let virtual = table.columns.indices.filter { table.columns[$0].visibility == .generatedVirtual }
        let columns = virtual.map { SQLName(table.columns[$0].name).quoted }.joined(separator: ",")
        // Without an index: SQLite may answer from one that holds another encoding of an equal value.
        let condition =
            table.rowidName.map { "NOT INDEXED WHERE \($0)=?" }
            ?? "WHERE "
            + table.primaryKey.map { "\(SQLName(table.columns[$0].name).quoted) IS ?" }.joined(separator: " AND ")
        var statement = try connection.prepare("SELECT \(columns) FROM \(SQLName(name).quoted) \(condition)")
        for index in rows.rows.indices {
            guard let row = rows.rows[index][keyPath: image] else { continue }
            var values = row.values
            if let rowid = rows.rows[index].rowid {
                try statement.bind(.integer(rowid), at: 1)
            } else {
                for (position, column) in table.primaryKey.enumerated() {
                    try statement.bind(values[column], at: position + 1)
                }
            }
            if try statement.step() {
                for (position, column) in virtual.enumerated() { values[column] = statement.value(position) }
                rows.rows[index][keyPath: image] = Row(values)
            }
            statement.reset()
        }
    }
}
