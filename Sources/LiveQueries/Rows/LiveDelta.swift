package import ChangeCapture
package import Synchronization

/// A changed row of a result.
package struct LiveRowChange: Sendable, Hashable {
    /// The row before; nil for an inserted one.
    package var before: Row?
    /// The row after; nil for a deleted one.
    package var after: Row?
    /// In an ordered result, the row's index before the whole delta.
    package var oldIndex: Int?
    /// In an ordered result, the row's index after the whole delta.
    package var index: Int?

    package init(before: Row?, after: Row?, oldIndex: Int? = nil, index: Int? = nil) {
        self.before = before
        self.after = after
        self.oldIndex = oldIndex
        self.index = index
    }
}

/// The changes that commits make in a query's result, all of them exactly once.
///
/// One object for all subscribers.
package final class LiveDelta: Sendable {
    /// The query as it was when the delta was made: the names of the rows' columns.
    package let description: LiveQueryDescription
    /// The rows did not change between this sequence number and the delta.
    package let from: UInt64
    /// The position of the result after the delta.
    package let position: LivePosition
    /// The number of covered commits that could change the result.
    package let transactions: Int
    package let rows: [LiveRowChange]
    /// The bytes of the rows.
    package let byteCount: Int
    /// The sink's encoding for the first subscriber, reused for the others.
    package let encoded = Mutex<(any Sendable)?>(nil)

    /// Nil when a row does not have the columns of the description.
    init?(
        _ description: LiveQueryDescription,
        from: UInt64,
        position: LivePosition,
        transactions: Int,
        rows: [LiveRowChange]
    ) {
        let count = description.columns.count
        guard rows.allSatisfy({ ($0.before?.count ?? count) == count && ($0.after?.count ?? count) == count }) else {
            return nil
        }
        self.description = description
        self.from = from
        self.position = position
        self.transactions = transactions
        self.rows = rows
        byteCount = rows.reduce(0) { $0 + ($1.before?.byteCount ?? 0) + ($1.after?.byteCount ?? 0) + 64 }
    }
}
