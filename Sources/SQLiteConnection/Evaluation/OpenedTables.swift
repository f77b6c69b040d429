/// The b-trees that a statement opens for reading, according to its program.
///
/// SQLite does not call the authorizer for the columns of `USING` and `NATURAL`: `SELECT id FROM a FULL JOIN b USING (id)`
/// reads `b` without a call. Where access is restricted, the program of a statement with such a join, or with a
/// view that has one, has to be checked too.
///
/// Source: [The SQLite Bytecode Engine](https://sqlite.org/opcode.html#OpenRead).
package struct OpenedTables: Sendable, Hashable {
    /// Tables of the main database, as created; for an index, the table that it belongs to.
    package private(set) var tables: Set<String> = []
    /// The schema itself, or a table of another database.
    package private(set) var hasOther = false
    /// Virtual tables, which a program does not name.
    package private(set) var hasVirtual = false

    /// The table of each b-tree of the main database, whether the b-tree is the table's own or an index's.
    package static func tableOfRoot(on connection: Connection) throws(SQLiteError) -> [Int64: String] {
        var tableOfRoot: [Int64: String] = [:]
        for row in try connection.query("SELECT rootpage, tbl_name FROM main.sqlite_schema WHERE rootpage > 0") {
            if case .integer(let root) = row[0], case .text(let table) = row[1] { tableOfRoot[root] = table }
        }
        return tableOfRoot
    }

    /// Compiles the statement, for which the connection's authorizer is called.
    ///
    /// - Parameters:
    ///   - sql: one statement.
    ///   - tableOfRoot: as ``tableOfRoot(on:)`` returns it.
    package init(of sql: String, on connection: Connection, _ tableOfRoot: [Int64: String]) throws(SQLiteError) {
        // Columns: addr, opcode, p1, p2, p3 …; p2 is the root page, p3 the database, 0 for main.
        for row in try connection.query("EXPLAIN " + sql) {
            guard row.count > 4, case .text(let opcode) = row[1] else { continue }
            switch opcode {
            // The authorizer is called for every table that is written.
            case "OpenRead", "ReopenIdx":
                if case .integer(let root) = row[3], row[4] == .integer(0), let table = tableOfRoot[root] {
                    tables.insert(table)
                } else {
                    hasOther = true
                }
            case "VOpen": hasVirtual = true
            default: break
            }
        }
    }

    /// Whether a statement or a view of this SQL can have such a join; true too often rather than too rarely.
    package static func joinsByName(_ sql: String) -> Bool {
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
            default: false
            }
        }
        return sql.utf8.split(whereSeparator: { !isWord($0) }).contains { word in
            (word.count == 5 || word.count == 7) && ["using", "natural"].contains(Substring(word).lowercased())
        }
    }
}
