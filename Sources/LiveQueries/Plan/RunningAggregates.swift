import ChangeCapture
import SQLiteConnection

/// The result's columns of a grouped query that follow from the changed rows alone: what a group had, without what the rows
/// before the commit contributed, with what the rows after it contribute.
///
/// Only `count` and sums of integers, which are exact in any order. A sum of REAL depends on the order of its rows, and
/// `min` and `max` on the rows that stay; those groups are evaluated again.
struct RunningAggregates: Sendable {
    enum Column: Sendable, Hashable {
        /// An expression of GROUP BY.
        case key(Int)
        /// `count(*)`
        case rowCount
        /// `count(argument)`
        case count(argument: Int)
        /// `sum(argument)`
        case sum(argument: Int)
    }

    /// The columns of the result.
    var columns: [Column]
    /// The SQL of the aggregates' arguments.
    var arguments: [String]
    /// The expressions of GROUP BY.
    var keys: [Key]

    /// Which values of a key are equal only to themselves, so that each row of a group shows the same.
    struct Key: Sendable, Hashable {
        /// The collation is BINARY.
        var hasDistinctTexts: Bool
        /// The column stores a real that equals an integer as that integer.
        var hasDistinctNumbers: Bool

        func isDistinct(_ value: SQLiteValue) -> Bool {
            switch value {
            case .null: true
            case .integer: hasDistinctNumbers
            case .real: false
            case .text, .malformedText, .blob: hasDistinctTexts
            }
        }
    }

    /// What is kept for each group beside its row: the number of rows, and of values that are not NULL for each argument.
    struct Totals: Sendable, Hashable {
        var rows: Int64 = 0
        var values: [Int64]
        /// The sum of each argument; nil where it is unknown, because a value is no integer or the sum is too large.
        var sums: [Int64?]

        init(argumentCount: Int) {
            values = Array(repeating: 0, count: argumentCount)
            sums = Array(repeating: 0, count: argumentCount)
        }

        /// - Parameter columns: the values of ``RunningAggregates/totals``.
        init?(_ columns: ArraySlice<SQLiteValue>) {
            guard case .integer(let rows)? = columns.first else { return nil }
            self.init(argumentCount: 0)
            self.rows = rows
            var rest = columns.dropFirst()
            while let count = rest.popFirst(), let sum = rest.popFirst() {
                guard case .integer(let count) = count else { return nil }
                values.append(count)
                switch sum {
                case .null: sums.append(0)
                case .integer(let sum): sums.append(sum)
                default: sums.append(nil)
                }
            }
        }

        mutating func add(_ other: Totals) { combine(other, { $0.addingReportingOverflow($1) }) }
        mutating func subtract(_ other: Totals) { combine(other, { $0.subtractingReportingOverflow($1) }) }

        private mutating func combine(_ other: Totals, _ operation: (Int64, Int64) -> (Int64, overflow: Bool)) {
            rows = operation(rows, other.rows).0
            for index in values.indices {
                values[index] = operation(values[index], other.values[index]).0
                guard let left = sums[index], let right = other.sums[index] else {
                    sums[index] = nil
                    continue
                }
                let (sum, overflow) = operation(left, right)
                sums[index] = overflow ? nil : sum
            }
        }
    }

    /// The SQL of ``Totals`` as result columns.
    var totals: String {
        let sums = Set(columns.compactMap { if case .sum(let argument) = $0 { argument } else { nil } })
        let parts = arguments.enumerated().map { index, argument in
            "count(\(argument)\n), \(sums.contains(index) ? "sum(\(argument)\n)" : "NULL")"
        }
        return (["count(*)"] + parts).joined(separator: ", ")
    }

    /// The number of result columns of ``totals``.
    var totalsCount: Int { 1 + 2 * arguments.count }

    /// The totals of no rows.
    var noTotals: Totals { Totals(argumentCount: arguments.count) }

    /// The result's row of a group.
    ///
    /// - Parameters:
    ///   - key: the values of the group's key in any of its rows.
    ///   - totals: the totals of all its rows.
    /// - Returns: nil when a sum is not known, or rows that are equal in the key can differ in what they show of it.
    func row(_ key: [SQLiteValue], _ totals: Totals) -> Row? {
        var builder = RowBuilder()
        for column in columns {
            switch column {
            case .key(let index):
                guard keys[index].isDistinct(key[index]) else { return nil }
                builder.append(key[index])
            case .rowCount:
                builder.append(integer: totals.rows)
            case .count(let argument):
                builder.append(integer: totals.values[argument])
            case .sum(let argument):
                if totals.values[argument] == 0 {
                    builder.appendNull()
                } else if let sum = totals.sums[argument] {
                    builder.append(integer: sum)
                } else {
                    return nil
                }
            }
        }
        return builder.finish()
    }
}

extension RunningAggregates {
    /// The aggregates of a query; nil when some column of the result is neither a key nor such an aggregate, or HAVING
    /// leaves out groups.
    ///
    /// - Parameters:
    ///   - keys: the expressions of GROUP BY, as tokens.
    ///   - calls: whether a call of an aggregate function begins at a token.
    init?(
        _ shape: SelectShape,
        keys: [(tokens: Range<Int>, key: Key)],
        calls: (Int) -> Bool,
        _ text: (Range<Int>) -> String
    ) {
        guard !shape.hasHaving else { return nil }
        columns = []
        arguments = []
        self.keys = keys.map(\.key)
        for column in shape.columns where !column.isStar {
            if let key = keys.firstIndex(where: { shape.areSameExpression(column.tokens, $0.tokens) }) {
                columns.append(.key(key))
                continue
            }
            guard let (function, argument) = Self.call(column.tokens, shape, calls) else { return nil }
            guard let argument else {
                columns.append(.rowCount)
                continue
            }
            let sql = text(shape.bytes(argument))
            let index = arguments.firstIndex { $0.isIdentical(to: sql) } ?? arguments.count
            if index == arguments.count { arguments.append(sql) }
            columns.append(function == .sum ? .sum(argument: index) : .count(argument: index))
        }
        guard columns.count == shape.columns.count else { return nil }
    }

    private enum Function { case count, sum }

    /// A call of `count` or `sum` over all rows of the group; the argument is nil for `count(*)`.
    private static func call(
        _ range: Range<Int>,
        _ shape: SelectShape,
        _ calls: (Int) -> Bool
    ) -> (Function, argument: Range<Int>?)? {
        let start = range.lowerBound
        guard range.count > 2, calls(start), shape.closing(start + 1) == range.upperBound - 1 else { return nil }
        let function: Function
        switch SQLName(shape.tokens[start].text).caseFolded.string {
        case "count": function = .count
        case "sum": function = .sum
        default: return nil
        }
        let argument = start + 2..<range.upperBound - 1
        guard let first = argument.first else { return function == .count ? (.count, nil) : nil }
        if argument.count == 1, shape.isSymbol(first, "*") { return (.count, nil) }
        if shape.isWord(first, "DISTINCT") { return nil }
        return (function, argument)
    }
}

/// A group as it was sent.
struct KeptGroup: Sendable {
    var row: Row
    /// nil for a query without ``RunningAggregates``.
    var totals: RunningAggregates.Totals?

    /// - Parameter result: the columns of the result, and after them those of the totals.
    init(result: Row, columnCount: Int) {
        let values = result.values
        row = Row(Array(values[..<columnCount]))
        totals = RunningAggregates.Totals(values[columnCount...])
    }

    init(row: Row, totals: RunningAggregates.Totals?) {
        self.row = row
        self.totals = totals
    }

    var byteCount: Int { row.byteCount + 64 + (totals.map { 24 + 25 * $0.values.count } ?? 0) }
}

/// A group of which rows have changed.
struct TouchedGroup: Sendable {
    /// The values of the key in one of the changed rows.
    var key: [SQLiteValue]
    /// What the changed rows add to the group's totals; nil for a query without ``RunningAggregates``.
    var change: RunningAggregates.Totals?

    func merging(_ other: TouchedGroup) -> TouchedGroup {
        var both = self
        if let added = other.change { both.change?.add(added) }
        return both
    }
}
