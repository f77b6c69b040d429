/// Takes the rows of a commit one by one as they are decoded, so that a commit of any size needs little memory.
///
/// All rows of one table come together. Within a `WITHOUT ROWID` table deletions come first, so that a key which is equal
/// under the column's collation can be inserted again.
package protocol RowSink {
    /// Whether the values of a change are wanted, whose records before and after have `byteCount` bytes together.
    ///
    /// False counts the change alone, and its values are never read.
    mutating func wantsRow(of table: TableDescription, byteCount: Int) -> Bool

    mutating func receive(_ change: RowChange, of table: TableDescription)

    /// A change whose values were not wanted.
    mutating func count(_ operation: RowChange.Operation, of table: TableDescription)
}

/// Collects ``TableRows``, and past its limits only counts.
package struct RowCollector: RowSink {
    /// Bounds on what is kept of one commit.
    package struct Limits: Sendable, Hashable {
        /// Rows of all tables together.
        package var maxRows: Int
        /// Bytes of the records kept, before and after together.
        package var maxRowBytes: Int

        package init(maxRows: Int = 100_000, maxRowBytes: Int = 64 << 20) {
            self.maxRows = maxRows
            self.maxRowBytes = maxRowBytes
        }
    }

    /// One entry for each table that changed, in the order in which they were decoded.
    package private(set) var tables: [TableRows] = []
    private let limits: Limits
    private var keptRows = 0
    private var keptBytes = 0
    private var isFull = false

    package init(limits: Limits = Limits()) { self.limits = limits }

    package mutating func wantsRow(of table: TableDescription, byteCount: Int) -> Bool {
        if keptRows >= limits.maxRows || keptBytes + byteCount > limits.maxRowBytes { isFull = true }
        guard !isFull else { return false }
        keptRows += 1
        keptBytes += byteCount
        return true
    }

    package mutating func receive(_ change: RowChange, of table: TableDescription) {
        let index = entry(of: table)
        tables[index].add(change.operation)
        tables[index].rows.append(change)
    }

    package mutating func count(_ operation: RowChange.Operation, of table: TableDescription) {
        let index = entry(of: table)
        tables[index].add(operation)
        tables[index].rowsOmitted = true
        // Part of a table's rows would be of no use to a replica.
        tables[index].rows = []
    }

    private mutating func entry(of table: TableDescription) -> Int {
        if let last = tables.indices.last, tables[last].table.name == table.name { return last }
        if let index = tables.firstIndex(where: { $0.table.name == table.name }) { return index }
        tables.append(
            TableRows(table: table, inserted: 0, updated: 0, deleted: 0, rows: [], rowsOmitted: false)
        )
        return tables.count - 1
    }
}

extension TableRows {
    fileprivate mutating func add(_ operation: RowChange.Operation) {
        switch operation {
        case .insert: inserted += 1
        case .update: updated += 1
        case .delete: deleted += 1
        }
    }
}
