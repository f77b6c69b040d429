/// An in-memory database with some of the tables of another one, and without rows.
///
/// A statement compiles on it as if the other tables did not exist. Belongs to the thread of the original connection.
package final class SchemaSubset {
    package let connection: Connection

    /// - Parameters:
    ///   - original: reads its own schema during the call; its authorizer must allow everything.
    ///   - includes: whether the subset has the table or view of that name.
    package init(of original: Connection, where includes: (_ name: String) -> Bool) throws(SQLiteError) {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try EvaluationPolicy().apply(to: connection)
        // Virtual tables first: they create tables of their own, which the schema lists too.
        let objects = try original.query(
            """
            SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL
            ORDER BY type <> 'table', sql NOT LIKE 'CREATE VIRTUAL%', rowid
            """
        )
        for object in objects {
            guard case .text(let type) = object[0], case .text(let name) = object[1], case .text(let table) = object[2],
                case .text(let sql) = object[3], includes(table)
            else { continue }
            // Objects that this library cannot create, such as a table of an unknown module, are missing here: nothing can use
            // them.
            switch type {
            case "table", "index": try? connection.execute(sql)
            case "view": try? makeView(name, of: original)
            default: break
            }
        }
    }

    /// Creates a view with the same columns that reads nothing, and that is writable where a trigger may make the
    /// original so.
    private func makeView(_ name: String, of original: Connection) throws(SQLiteError) {
        let columns = try original.query("SELECT name FROM pragma_table_xinfo(?)", [.text(name)]).compactMap { row in
            if case .text(let column)? = row.first { column.quotedAsIdentifier } else { nil }
        }
        let view = name.quotedAsIdentifier
        let nulls = columns.map { _ in "NULL" }.joined(separator: ", ")
        try connection.execute("CREATE VIEW \(view)(\(columns.joined(separator: ", "))) AS SELECT \(nulls)")
        let triggers = try original.query(
            "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
            [.text(name)]
        )
        guard !triggers.isEmpty else { return }
        for event in ["INSERT", "UPDATE", "DELETE"] {
            try connection.execute(
                "CREATE TRIGGER \("\(event) \(name)".quotedAsIdentifier) INSTEAD OF \(event) ON \(view) BEGIN SELECT 1; END"
            )
        }
    }
}
