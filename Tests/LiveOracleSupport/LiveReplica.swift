import ChangeCapture
import LiveQueries
import SQLiteConnection

/// A client's state of its query: rows that only events change. Strict: a delta that does not match is an error.
struct LiveReplica {
    struct Mismatch: Error, CustomStringConvertible {
        var description: String
    }

    private(set) var rows: [Row]
    private let isOrdered: Bool

    init(_ rows: [Row], isOrdered: Bool) {
        self.rows = rows
        self.isOrdered = isOrdered
    }

    mutating func apply(_ delta: LiveDelta, key: [Int]?) throws(Mismatch) {
        if isOrdered { try applyOrdered(delta) } else { try applyBag(delta) }
        if let key,
            delta.rows.contains(where: { change in
                if let before = change.before, let after = change.after {
                    return before.selecting(key) != after.selecting(key)
                }
                return false
            })
        {
            throw Mismatch(description: "an update changes the key")
        }
    }

    private mutating func applyBag(_ delta: LiveDelta) throws(Mismatch) {
        var counts: [Row: Int] = [:]
        for row in rows { counts[row, default: 0] += 1 }
        for change in delta.rows {
            guard let before = change.before else { continue }
            guard let count = counts[before], count > 0 else {
                throw Mismatch(description: "a row goes that is not there: \(before.values)")
            }
            counts[before] = count - 1
        }
        for change in delta.rows {
            if let after = change.after { counts[after, default: 0] += 1 }
            if change.before == change.after { throw Mismatch(description: "a change that changes nothing") }
        }
        rows = counts.flatMap { Array(repeating: $0.key, count: $0.value) }
    }

    private mutating func applyOrdered(_ delta: LiveDelta) throws(Mismatch) {
        for change in delta.rows.filter({ $0.before != nil }).sorted(by: { ($0.oldIndex ?? -1) > ($1.oldIndex ?? -1) })
        {
            guard let index = change.oldIndex, rows.indices.contains(index), rows[index] == change.before else {
                throw Mismatch(description: "another row is at place \(change.oldIndex ?? -1)")
            }
            rows.remove(at: index)
        }
        for change in delta.rows.filter({ $0.after != nil }).sorted(by: { ($0.index ?? -1) < ($1.index ?? -1) }) {
            guard let index = change.index, index <= rows.count, let row = change.after else {
                throw Mismatch(description: "there is no place \(change.index ?? -1)")
            }
            rows.insert(row, at: index)
        }
    }
}

/// A result to compare: a list or a multiset, with values compared as SQL compares them when it leaves open which of
/// several equal ones it returns.
struct OracleResult: Equatable {
    private var rows: [Row]

    init(_ rows: [Row], _ query: OracleQuery) {
        var rows = rows
        if query.isOpen { rows = rows.map { Row($0.values.map(Self.canonical)) } }
        if !query.isOrdered {
            rows.sort { $0.withRecord { Array($0) }.lexicographicallyPrecedes($1.withRecord { Array($0) }) }
        }
        self.rows = rows
    }

    private static func canonical(_ value: SQLiteValue) -> SQLiteValue {
        switch value {
        case .real(let number):
            return Int64(exactly: number).map { .integer($0) } ?? value
        case .text(let text):
            var bytes = text.utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
            while bytes.last == 0x20 { bytes.removeLast() }
            return .blob(bytes + [1])
        default: return value
        }
    }

    /// The rows that only one of the two results has, for a report.
    func difference(from expected: OracleResult) -> String {
        let missing = expected.rows.filter { !rows.contains($0) }.prefix(3).map { String("\($0.values)".prefix(200)) }
        let extra = rows.filter { !expected.rows.contains($0) }.prefix(3).map { String("\($0.values)".prefix(200)) }
        return "\(rows.count) rows for \(expected.rows.count); missing \(missing), too many \(extra)"
    }
}
