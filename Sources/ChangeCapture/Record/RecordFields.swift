/// Which columns the fields of a table's records hold, in order.
///
/// A record has the stored columns only: VIRTUAL generated columns have no field, and the `INTEGER PRIMARY KEY` has one that
/// is always NULL. The records of a `WITHOUT ROWID` table begin with the primary key as its index has it, where a column that
/// the key names under two collations comes twice, so that
/// [`PRAGMA index_xinfo`](https://sqlite.org/pragma.html#pragma_index_xinfo) alone tells the order.
package struct RecordFields: Sendable, Hashable {
    /// For each field the position of its column in ``TableDescription/columns``.
    package let columns: [Int]
    /// The leading fields that are the primary key of a `WITHOUT ROWID` table; 0 for a table with rowid.
    package let keyCount: Int
    /// The index that a `WITHOUT ROWID` table is kept in; nil for a table with rowid.
    package let keyIndex: SQLName?

    /// Of a table with rowid: the columns that are stored, as they come.
    package init(ofRowidTable columns: [ColumnDescription]) {
        self.columns = columns.indices.filter { columns[$0].visibility != .generatedVirtual }
        keyCount = 0
        keyIndex = nil
    }

    /// Of a `WITHOUT ROWID` table, as the index of its primary key has them.
    package init(columns: [Int], keyCount: Int, keyIndex: SQLName) {
        self.columns = columns
        self.keyCount = keyCount
        self.keyIndex = keyIndex
    }
}
