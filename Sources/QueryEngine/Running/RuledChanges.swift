import SQLiteConnection

/// The rows of tables with a row rule that one ``RowWrite`` changes, also by triggers and foreign-key actions of the file.
///
/// The written row may change, and rows may be added: the ``RowWriter`` checks them. A change of any other row of a
/// table with a rule is not allowed, whether or not the client could see that row.
struct RuledChanges {
    /// A row before it changes.
    struct Change: Equatable {
        /// The table's name in lower case.
        var table: String
        var operation: UpdateOperation
        /// Whether it is the written row, and not one that a trigger or a foreign-key action changes.
        var isOwn: Bool
        /// Undefined for an insert.
        var oldRowid: Int64
        /// Undefined for a delete.
        var newRowid: Int64
    }

    static let maxChanges = 1_000

    private let tables: Set<String>
    private(set) var changes: [Change] = []
    private(set) var isOverflown = false

    init(_ rules: SQLRowRules) { tables = Set(rules.rules.map { SQLRowRules.folded($0.table) }) }

    mutating func note(_ row: borrowing PreUpdate) {
        guard row.isInMain else { return }
        let table = SQLRowRules.folded(row.withTableName { String(decoding: $0, as: UTF8.self) })
        guard tables.contains(table) else { return }
        note(
            Change(
                table: table,
                operation: row.operation,
                isOwn: row.depth == 0,
                oldRowid: row.oldRowid,
                newRowid: row.newRowid
            )
        )
    }

    mutating func note(_ change: Change) {
        guard changes.count < Self.maxChanges else { return isOverflown = true }
        changes.append(change)
    }

    /// The rows whose new state must be checked, as rowids by table; those that are gone by then included.
    ///
    /// - Parameters:
    ///   - written: the row that is updated or deleted; nil for an insert or a table without rowids.
    ///   - withoutRowids: the tables that have none. The writer checks the written row of such a table by its key.
    /// - Throws: the name of a table of which another row changes.
    func rowsToCheck(
        _ written: (table: String, rowid: Int64)?,
        withoutRowids: Set<String>
    ) throws(OtherRow) -> [String: Set<Int64>] {
        var rows: [String: Set<Int64>] = [:]
        if let written { rows[SQLRowRules.folded(written.table)] = [written.rowid] }
        for change in changes {
            guard !withoutRowids.contains(change.table) else {
                guard change.isOwn else { throw OtherRow(table: change.table) }
                continue
            }
            let isKnown = change.isOwn || rows[change.table]?.contains(change.oldRowid) == true
            switch change.operation {
            case .insert: rows[change.table, default: []].insert(change.newRowid)
            case .update where isKnown: rows[change.table, default: []].insert(change.newRowid)
            case .delete where isKnown: break
            default: throw OtherRow(table: change.table)
            }
        }
        return rows
    }

    struct OtherRow: Error {
        var table: String
    }
}
