/// How much of each changed row a transaction's capture keeps: what its most demanding subscriber asked for.
public enum CaptureLevel: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// How many rows were inserted, updated and deleted in each table.
    case counts
    /// Also which rows: rowids and primary keys.
    case keys
    /// Also every column of the row before and after the transaction.
    case values

    public static func < (left: CaptureLevel, right: CaptureLevel) -> Bool { left.rawValue < right.rawValue }
}
