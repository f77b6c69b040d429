import ChangeCapture
import SQLiteConnection

/// The rows of a table that one or several commits changed, by their keys.
final class ChangedTable {
    /// The keys of the changed rows: the rowid, or the columns of the primary key.
    private(set) var keys: Set<[SQLiteValue]> = []
    /// Columns that updates changed, as positions; nil when they are not known, or when rows were inserted or deleted.
    private(set) var columns: Set<Int>? = []
    /// Some of the rows existed before.
    private(set) var hasOld = false
    /// Some of the rows exist after.
    private(set) var hasNew = false
    /// Not all changed rows are known.
    private(set) var isUnknown = false
    /// The number of commits.
    private(set) var transactions = 0

    func add(_ rows: TableRows) {
        transactions += 1
        guard rows.countsAreKnown, !rows.rowsOmitted || rows.detail >= .keys, rows.detail >= .keys else {
            isUnknown = true
            columns = nil
            return
        }
        let hasValues = rows.detail == .values
        if rows.inserted > 0 || rows.deleted > 0 || !hasValues { columns = nil }
        for change in rows.rows {
            if change.operation != .insert { hasOld = true }
            if change.operation != .delete { hasNew = true }
            if let rowid = change.rowid {
                keys.insert([.integer(rowid)])
            } else {
                for row in [change.before, change.after] {
                    guard let row else { continue }
                    let values = row.values
                    keys.insert(hasValues ? rows.table.primaryKey.map { values[$0] } : values)
                }
            }
            if columns != nil, let before = change.before, let after = change.after { note(before, after) }
        }
    }

    private func note(_ before: Row, _ after: Row) {
        let (old, new) = (before.values, after.values)
        for index in 0..<min(old.count, new.count) where !Self.isIdentical(old[index], new[index]) {
            columns?.insert(index)
        }
    }

    /// Unlike `==`, it distinguishes 0.0 from -0.0.
    private static func isIdentical(_ left: SQLiteValue, _ right: SQLiteValue) -> Bool {
        switch (left, right) {
        case (.real(let left), .real(let right)): left.bitPattern == right.bitPattern
        default: left == right
        }
    }

    /// Whether a query that reads these columns can see the change.
    func concerns(_ dependency: LivePlan.Dependency) -> Bool {
        guard let columns, let read = dependency.columns else { return true }
        return !read.isDisjoint(with: columns)
    }
}
