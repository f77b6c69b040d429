import ChangeCapture
import RandomSupport
import SQLiteConnection
import Testing

@testable import LiveQueries

@Suite struct RowDifferenceTests {
    private func row(_ values: Int...) -> Row { Row(values.map { .integer(Int64($0)) }) }

    @Test func `a list comes to the other one by removals from its end and insertions from its beginning`() {
        var random = SeededGenerator.announced()
        for _ in 0..<500 {
            let old = (0..<random.below(12)).map { _ in row(random.below(5), random.below(3)) }
            let new =
                random.chance(50) ? old.filter { _ in random.chance(80) } + [row(random.below(5), 9)] : old.reversed()
            var rows = old
            let changes = RowDifference.ordered(old, new, key: random.chance(50) ? [0] : nil)
            for change in changes.filter({ $0.before != nil }).sorted(by: { $0.oldIndex ?? 0 > $1.oldIndex ?? 0 }) {
                #expect(rows.remove(at: change.oldIndex ?? -1) == change.before)
            }
            for change in changes.filter({ $0.after != nil }).sorted(by: { $0.index ?? 0 < $1.index ?? 0 }) {
                if let after = change.after { rows.insert(after, at: change.index ?? -1) }
            }
            #expect(rows == new)
        }
    }

    @Test func `rows that stay in their order are not mentioned`() {
        let old = (0..<100).map { row($0) }
        var new = old
        new.remove(at: 50)
        new.insert(row(500), at: 10)
        #expect(RowDifference.ordered(old, new, key: nil).count == 2)
    }

    @Test func `rows of one key are one update`() {
        let changes = RowDifference.unordered([row(1, 1), row(2, 2)], [row(2, 3), row(1, 1)], key: [0])
        #expect(changes == [LiveRowChange(before: row(2, 2), after: row(2, 3))])
    }

    @Test func `equal rows are counted`() {
        let changes = RowDifference.unordered([row(1), row(1), row(1)], [row(1)], key: nil)
        #expect(changes.count == 2)
        #expect(changes.allSatisfy { $0.before == row(1) && $0.after == nil })
    }
}
