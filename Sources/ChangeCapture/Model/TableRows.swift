/// The rows of one table that a transaction changed, netted: one entry for each row that differs between the state
/// before the transaction and the state after it, and nothing else.
public struct TableRows: Sendable {
    public var table: TableDescription
    public var inserted: Int
    public var updated: Int
    public var deleted: Int
    /// Empty when ``rowsOmitted``, or when the capture was asked for counts alone.
    public var rows: [RowChange]
    /// The transaction was larger than the limits allow to keep; the counts hold nevertheless.
    public var rowsOmitted: Bool

    public init(
        table: TableDescription,
        inserted: Int,
        updated: Int,
        deleted: Int,
        rows: [RowChange],
        rowsOmitted: Bool
    ) {
        self.table = table
        self.inserted = inserted
        self.updated = updated
        self.deleted = deleted
        self.rows = rows
        self.rowsOmitted = rowsOmitted
    }
}

/// One row that a transaction inserted, updated or deleted.
public struct RowChange: Sendable, Hashable {
    public enum Operation: Sendable, Hashable {
        case insert
        case update
        case delete
    }

    public var operation: Operation
    /// The row's rowid after the commit (before it for a delete); nil for a table without one.
    public var rowid: Int64?
    /// The whole row before the transaction; nil for an insert.
    public var before: Row?
    /// The whole row after the transaction; nil for a delete.
    public var after: Row?

    public init(operation: Operation, rowid: Int64?, before: Row?, after: Row?) {
        self.operation = operation
        self.rowid = rowid
        self.before = before
        self.after = after
    }
}
