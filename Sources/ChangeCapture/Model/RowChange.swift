/// One row that a transaction inserted, updated or deleted.
public struct RowChange: Sendable, Hashable {
    public enum Operation: Sendable, Hashable {
        case insert
        case update
        case delete
    }

    public var operation: Operation
    /// The row's rowid, which an update never changes; nil for a table without one.
    public var rowid: Int64?
    /// The row before the transaction; nil for an insert.
    ///
    /// With ``TableRows/detail`` `values` it holds every column. With `keys` it holds the columns of
    /// ``TableDescription/primaryKey`` alone, in that order, and is nil where the rowid is the key: no primary key, or one
    /// that is another name for the rowid.
    public var before: Row?
    /// The row after the transaction, as ``before``; nil for a delete.
    public var after: Row?

    public init(operation: Operation, rowid: Int64?, before: Row?, after: Row?) {
        self.operation = operation
        self.rowid = rowid
        self.before = before
        self.after = after
    }
}
