/// Takes the rows of a commit one by one as they are decoded, so that a commit of any size needs little memory.
///
/// All rows of one table come together, except for those of which overflow pages alone changed: they come at the end.
/// Within a `WITHOUT ROWID` table deletions come first, so that a key which is equal under the column's collation can be
/// inserted again.
package protocol RowSink {
    /// How much of a change is wanted, whose records before and after have `byteCount` bytes together.
    mutating func level(for table: TableDescription, byteCount: Int) -> CaptureLevel

    /// A change with as much of its rows as was wanted, `keys` or `values`.
    mutating func receive(_ change: RowChange, of table: TableDescription)

    /// A change of which no more than that was wanted.
    mutating func count(_ operation: RowChange.Operation, of table: TableDescription)

    /// Rows of a virtual table may have changed: only its module knows how to read them.
    mutating func noteChange(of table: TableDescription)
}
