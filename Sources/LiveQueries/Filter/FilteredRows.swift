package import ChangeCapture

/// A condition on the rows of one table, as SQL.
package struct RowCondition: Hashable, Sendable {
    package var sql: String
    package var parameters: LiveParameters

    package init(sql: String, parameters: LiveParameters = .none) {
        self.sql = sql
        self.parameters = parameters
    }

    package static func == (left: RowCondition, right: RowCondition) -> Bool {
        left.sql.isIdentical(to: right.sql) && left.parameters == right.parameters
    }
}

/// The effect of a transaction on the rows that a condition selects.
package struct FilteredRows: Sendable {
    package enum Crossing: String, Sendable, Hashable {
        /// Only the new row matches: for the subscriber the row is inserted.
        case entered
        /// Only the old row matches: for the subscriber the row is deleted.
        case left
    }

    package struct Entry: Sendable {
        /// The place of the change among the rows of its table.
        package var index: Int
        /// The change, with the operation as seen through the condition.
        package var change: RowChange
        /// The operation of the transaction itself.
        package var operation: RowChange.Operation
        package var crossing: Crossing?
    }

    /// The selected rows. Conditions that select the same rows of a transaction share one object, by whose identity a caller
    /// can share what it makes of the rows.
    package final class Selection: Sendable {
        package let entries: [Entry]
        /// The operations of the transaction itself on these rows.
        package let operations: Set<RowChange.Operation>

        package init(_ entries: [Entry]) {
            self.entries = entries
            operations = Set(entries.lazy.map(\.operation))
        }
    }

    package let selection: Selection
    /// It is unknown which rows match: they were not kept, or the condition fails on one of them.
    package let isUnknown: Bool

    package var entries: [Entry] { selection.entries }

    init(_ selection: Selection) {
        self.selection = selection
        isUnknown = false
    }

    private init(unknown: ()) {
        selection = Selection([])
        isUnknown = true
    }

    package static let unknown = FilteredRows(unknown: ())
}

/// For which rows of a transaction each of up to 64 conditions holds, one bit for each condition.
struct ConditionMasks {
    /// Of each change the row before it and the row after it; 0 where there is none.
    private var rows: [(old: UInt64, new: UInt64)] = []
    /// The conditions that cannot be evaluated on some row.
    private(set) var unknown: UInt64 = 0

    mutating func append(old: UInt64, new: UInt64) { rows.append((old, new)) }

    mutating func markUnknown(_ conditions: UInt64) { unknown |= conditions }

    /// The conditions of `all` in groups that hold for the same rows, without those that are unknown.
    func groups(of all: UInt64) -> [UInt64] {
        var groups = all & ~unknown == 0 ? [] : [all & ~unknown]
        for row in rows {
            // Most rows split no group.
            for mask in [row.old, row.new] where mask != 0 && mask != all {
                for index in groups.indices {
                    let (inside, outside) = (groups[index] & mask, groups[index] & ~mask)
                    guard inside != 0, outside != 0 else { continue }
                    groups[index] = inside
                    groups.append(outside)
                }
            }
        }
        return groups
    }

    /// For each change whether one condition holds for the row before it, in bit 0, and after it, in bit 1.
    func holds(_ condition: UInt64) -> [UInt8] {
        rows.map { ($0.old & condition == 0 ? 0 : 1) | ($0.new & condition == 0 ? 0 : 2) }
    }
}
