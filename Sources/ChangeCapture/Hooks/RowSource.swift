import SQLiteConnection

/// What a ``TransactionLog`` cannot know and has to be read, as it is in the transaction that is open.
protocol RowSource {
    /// Encodes the row of that key as it is now; false when there is none. Nil when the table's rows cannot be asked for one
    /// by one: columns hide all names of the rowid.
    func readRow(_ key: RowKey, of shape: TableShape, into encoder: inout RecordEncoder) throws(SQLiteError) -> Bool?

    /// All rows of a table that is new in the transaction; nil when there are none.
    func allRows(
        of table: SchemaSnapshot.Table,
        level: CaptureLevel,
        limits: CaptureLimits
    ) throws(SQLiteError) -> TableRows?

    /// Whether a virtual table holds anything.
    func hasRows(_ table: SQLName) throws(SQLiteError) -> Bool

    /// What tells how a row of before an `ALTER TABLE` reads after it.
    func recordReader() throws(SQLiteError) -> RecordReader
}
