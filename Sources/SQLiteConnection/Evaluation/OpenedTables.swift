/// The tables that a statement opens for reading, according to its program.
///
/// The authorizer alone does not decide what a statement reads:
///
/// - SQLite does not call it for the columns of `USING` and `NATURAL`: `SELECT id FROM a FULL JOIN b USING (id)` reads `b` without a
///   call.
/// - It does not call it for the columns that it copies as they are from one table to another: `INSERT INTO a SELECT * FROM b`. Source:
///   `xferOptimization` in [insert.c](https://sqlite.org/src/file/src/insert.c).
/// - Where no column is read, as in `SELECT count(*) FROM a`, a call for a common table expression looks like one for a table.
///
/// Where access is restricted, the programs of such statements, and of statements with views that contain them, are checked too.
///
/// Source: [The SQLite Bytecode Engine](https://sqlite.org/opcode.html#OpenRead).
package struct OpenedTables: Sendable, Hashable {
    /// Tables of the main database, as created; for an index, the table that it belongs to.
    package private(set) var tables: Set<String> = []
    /// Those of ``tables`` that are virtual.
    package private(set) var virtualTables: Set<String> = []
    /// The schema itself, a table of another database, or a virtual table that was not created, except
    /// ``tableFunctions``.
    package private(set) var hasOther = false
    /// A virtual table that was not created, except ``tableFunctions``.
    package private(set) var hasUncreated = false

    /// Virtual tables that are computed from an argument.
    package static let tableFunctions: Set<String> = ["json_each", "json_tree"]

    /// Whether a read that SQLite reports to the authorizer can be of something other than the table of that name: then the program
    /// decides. A table can have the name of a table-valued function, and a column an empty one.
    ///
    /// - Parameters:
    ///   - table: in lower case.
    ///   - column: empty where none is read.
    package static func decides(_ table: String, column: String) -> Bool {
        column.isEmpty
            ? !table.hasPrefix("sqlite_") && !table.hasPrefix("pragma_") : tableFunctions.contains(table)
    }

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
        var addresses: Set<String> = []
        // Columns: addr, opcode, p1, p2, p3, p4 …; p2 is the root page, p3 the database, 0 for main.
        for row in try connection.query("EXPLAIN " + sql) {
            guard row.count > 5, case .text(let opcode) = row[1] else { continue }
            switch opcode {
            // The authorizer is called for every table that is written.
            case "OpenRead", "ReopenIdx":
                if case .integer(let root) = row[3], row[4] == .integer(0), let table = tableOfRoot[root] {
                    tables.insert(table)
                } else {
                    hasOther = true
                }
            case "VOpen": if case .text(let address) = row[5] { addresses.insert(address) } else { hasOther = true }
            default: break
            }
        }
        if !addresses.isEmpty { try resolve(addresses, on: connection) }
        tables.formUnion(virtualTables)
    }

    package mutating func ignore(_ table: String) { tables.remove(table) }

    /// A program names a virtual table by an address, which is the same in all programs of a connection.
    private mutating func resolve(_ addresses: Set<String>, on connection: Connection) throws(SQLiteError) {
        var unknown = addresses
        for function in Self.tableFunctions {
            if let address = try Self.virtualTable("SELECT 1 FROM \(function)", on: connection) {
                unknown.remove(address)
            }
        }
        let created = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0"
        for row in try connection.query(created) where !unknown.isEmpty {
            guard case .text(let name) = row[0] else { continue }
            let sql = "SELECT 1 FROM main.\(name.quotedAsIdentifier)"
            if let address = try Self.virtualTable(sql, on: connection), unknown.remove(address) != nil {
                virtualTables.insert(name)
            }
        }
        if !unknown.isEmpty {
            hasOther = true
            hasUncreated = true
        }
    }

    /// The address of the virtual table that the statement opens; nil for another table, or when its module is missing.
    private static func virtualTable(_ sql: String, on connection: Connection) throws(SQLiteError) -> String? {
        do throws(SQLiteError) {
            for row in try connection.query("EXPLAIN " + sql) where row.count > 5 && row[1] == .text("VOpen") {
                if case .text(let address) = row[5] { return address }
            }
            return nil
        } catch {
            guard error.code.primary == .error else { throw error }
            return nil
        }
    }

    /// Whether a statement or a view of this SQL can have such a join; true too often rather than too rarely.
    package static func joinsByName(_ sql: String) -> Bool { UnreportedReads(sql).contains(.joinsByName) }
}

/// How SQL can read a table without a call of the authorizer: see ``OpenedTables``. Too much rather than too little.
package struct UnreportedReads: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A join with USING or NATURAL.
    package static let joinsByName = UnreportedReads(rawValue: 1)
    /// An INSERT of the rows of another table.
    package static let copiesRows = UnreportedReads(rawValue: 2)

    /// Reads the SQL of a statement, a view or a trigger.
    package init(_ sql: String) {
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
            default: false
            }
        }
        var (inserts, selects) = (false, false)
        self = []
        for word in sql.utf8.split(whereSeparator: { !isWord($0) }) where (5...7).contains(word.count) {
            switch Substring(word).lowercased() {
            case "using", "natural": insert(.joinsByName)
            case "insert", "replace": inserts = true
            case "select": selects = true
            default: break
            }
        }
        if inserts, selects { insert(.copiesRows) }
    }
}
