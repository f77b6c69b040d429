package import ChangeCapture
package import Synchronization

/// One row of a result that changed.
package struct LiveRowChange: Sendable, Hashable {
    /// The row before; nil for one that came.
    package var before: Row?
    /// The row after; nil for one that went.
    package var after: Row?
    /// In an ordered result, the row's place before the whole delta.
    package var oldIndex: Int?
    /// In an ordered result, the row's place after the whole delta.
    package var index: Int?

    package init(before: Row?, after: Row?, oldIndex: Int? = nil, index: Int? = nil) {
        self.before = before
        self.after = after
        self.oldIndex = oldIndex
        self.index = index
    }
}

/// What commits changed in a query's result: all of it, once.
///
/// One object for all subscribers.
package final class LiveDelta: Sendable {
    /// The rows were as before since this sequence number.
    package let from: UInt64
    /// The delta leads to the result as of this position.
    package let position: LivePosition
    /// How many commits it covers of those that could change the result.
    package let transactions: Int
    package let rows: [LiveRowChange]
    /// Of the rows.
    package let byteCount: Int
    /// What the sink made of it for the first subscriber, for the others.
    package let encoded = Mutex<(any Sendable)?>(nil)

    init(from: UInt64, position: LivePosition, transactions: Int, rows: [LiveRowChange]) {
        self.from = from
        self.position = position
        self.transactions = transactions
        self.rows = rows
        byteCount = rows.reduce(0) { $0 + ($1.before?.byteCount ?? 0) + ($1.after?.byteCount ?? 0) + 64 }
    }
}
