import SQLiteConnection

/// One row of `sqlite_schema`.
///
/// A snapshot shares the rows that did not change with the snapshot before it, so that identity shows what changed.
final class SchemaEntry: Sendable {
    let rowid: Int64
    let type: String
    let name: SQLName
    /// The case-folded name of the object's table: a trigger's entry spells it as its `CREATE TRIGGER` did.
    let table: SQLName
    let rootPage: Int64
    /// Nil for an index of a UNIQUE or PRIMARY KEY constraint.
    let sql: String?
    private let storedTable: String
    /// Only SQLite itself can create such names, whatever their case.
    let isReserved: Bool

    fileprivate init(_ row: borrowing Statement) {
        rowid = row.integer(0)
        type = row.text(1) ?? ""
        name = SQLName(row.text(2) ?? "")
        storedTable = row.text(3) ?? ""
        table = SQLName(storedTable).caseFolded
        rootPage = row.integer(4)
        sql = row.text(5)
        isReserved = name.isReserved
    }

    /// A table or view that is not SQLite's own.
    var isTable: Bool { (type == "table" || type == "view") && sql != nil && !isReserved }

    /// The index or trigger; nil for other entries, and for those of SQLite itself.
    var object: SchemaSnapshot.Object? {
        guard !isReserved, let sql, let kind = SchemaChange.ObjectChange.Kind(rawValue: type) else { return nil }
        return SchemaSnapshot.Object(kind: kind, name: name, sql: SQLName(sql))
    }

    /// An index of the table's own definition.
    var isIndexOfConstraint: Bool { isReserved && type == "index" }

    /// Compares without a copy of the row.
    fileprivate func isStored(in row: borrowing Statement) -> Bool {
        row.integer(4) == rootPage && Self.matches(row, 5, sql) && Self.matches(row, 2, name.string)
            && Self.matches(row, 3, storedTable) && Self.matches(row, 1, type)
    }

    private static func matches(_ row: borrowing Statement, _ column: Int, _ known: String?) -> Bool {
        row.withColumn(column) { value in
            switch value {
            case .null: return known == nil
            case .text(let bytes):
                return known?.utf8.withContiguousStorageIfAvailable { known in
                    known.count == bytes.count
                        && bytesAreEqual(UnsafeRawBufferPointer(known), 0, bytes, 0, bytes.count)
                } == true
            case .integer, .real, .blob: return false
            }
        }
    }

    private func isSame(as other: SchemaEntry) -> Bool {
        rowid == other.rowid && rootPage == other.rootPage && type == other.type && name == other.name
            && storedTable.isIdentical(to: other.storedTable) && sql.map(SQLName.init) == other.sql.map(SQLName.init)
    }

    // MARK: Reading

    /// What changed since an earlier reading.
    struct Difference {
        var added: [SchemaEntry] = []
        var removed: [SchemaEntry] = []
        /// The case-folded names of the tables that these entries belong to.
        var tables: Set<SQLName> = []
    }

    /// Reads all entries in the order of their rowids.
    ///
    /// - Parameter known: those of an earlier reading; one that did not change is returned itself.
    static func readAll(
        from connection: Connection,
        since known: [SchemaEntry]
    ) throws(SQLiteError) -> (entries: [SchemaEntry], difference: Difference) {
        var statement = try connection.prepare(
            "SELECT rowid, type, name, tbl_name, rootpage, sql FROM main.sqlite_schema ORDER BY rowid"
        )
        var entries: [SchemaEntry] = []
        entries.reserveCapacity(known.count + 1)
        var difference = Difference()
        var next = 0
        while try statement.step() {
            let rowid = statement.integer(0)
            while next < known.count, known[next].rowid < rowid {
                difference.removed.append(known[next])
                next += 1
            }
            var previous: SchemaEntry?
            if next < known.count, known[next].rowid == rowid {
                previous = known[next]
                next += 1
            }
            if let previous, previous.isStored(in: statement) {
                entries.append(previous)
                continue
            }
            let entry = SchemaEntry(statement)
            // Bytes that are not UTF-8, or values that are no text, are converted when they are read.
            if let previous, previous.isSame(as: entry) {
                entries.append(previous)
                continue
            }
            if let previous { difference.removed.append(previous) }
            difference.added.append(entry)
            entries.append(entry)
        }
        difference.removed += known[next...]
        for entry in difference.added { difference.tables.insert(entry.table) }
        for entry in difference.removed { difference.tables.insert(entry.table) }
        return (entries, difference)
    }
}
