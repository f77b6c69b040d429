/// The rows of one table that a transaction changed, netted: one entry for each row that differs between the state
/// before the transaction and the state after it, and nothing else.
///
/// A row is identified by its rowid, in a `WITHOUT ROWID` table by its primary key. A row that moved to another identity is
/// a delete and an insert, whoever committed it.
public struct TableRows: Sendable {
    /// As it is after the commit.
    public var table: TableDescription
    /// Rows that were not there before.
    public var inserted: Int
    /// Rows that were there before with other values.
    public var updated: Int
    /// Rows that are not there any more.
    public var deleted: Int
    /// False where it is known only *that* rows changed: the counts are 0 then, and ``rowsOmitted`` is true.
    public var countsAreKnown: Bool
    /// What ``rows`` holds: nothing, identities, or identities and values.
    public var detail: CaptureLevel
    /// Deletes first, then updates, then inserts. Empty when ``detail`` is `counts`.
    public var rows: [RowChange]
    /// The capture was asked for more than ``detail`` and could not keep it, for a limit or because SQLite does not tell.
    /// The counts hold nevertheless, unless ``countsAreKnown`` is false.
    public var rowsOmitted: Bool
    /// Columns of ``table`` whose values are not known in any of ``rows``, which have NULL there: VIRTUAL generated columns
    /// that could not be computed, or not in time.
    public var columnsOmitted: [String] = []

    public init(
        table: TableDescription,
        inserted: Int,
        updated: Int,
        deleted: Int,
        countsAreKnown: Bool = true,
        detail: CaptureLevel = .values,
        rows: [RowChange],
        rowsOmitted: Bool
    ) {
        self.table = table
        self.inserted = inserted
        self.updated = updated
        self.deleted = deleted
        self.countsAreKnown = countsAreKnown
        self.detail = detail
        self.rows = rows
        self.rowsOmitted = rowsOmitted
    }
}

extension TableRows {
    /// Rows changed, and nothing tells which: the pre-update hook does not see virtual tables, nor what `VACUUM` does, and
    /// of a large file with a rollback journal no old pages are kept.
    init(changedTable table: TableDescription) {
        self.init(
            table: table,
            inserted: 0,
            updated: 0,
            deleted: 0,
            countsAreKnown: false,
            detail: .counts,
            rows: [],
            rowsOmitted: true
        )
    }
}
