import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct RowCollectorTests {
    private let first = Fixture.table([Fixture.column("x")], name: "first")
    private let second = Fixture.table([Fixture.column("x")], name: "second")

    private func add(_ count: Int, to table: TableDescription, in collector: inout RowCollector) {
        for rowid in 0..<count {
            guard collector.level(for: table, byteCount: 3) > .counts else {
                collector.count(.insert, of: table)
                continue
            }
            let row = Row([.integer(Int64(rowid))])
            collector.receive(
                RowChange(operation: .insert, rowid: Int64(rowid), before: nil, after: row),
                of: table
            )
        }
    }

    @Test func `a small table keeps its rows, before a large one and after it`() {
        var collector = RowCollector(limits: CaptureLimits(maxRows: 10))
        add(20, to: first, in: &collector)
        add(3, to: second, in: &collector)
        let tables = collector.finish()
        #expect(tables.map(\.detail) == [.counts, .values])
        #expect(tables.map(\.rows.count) == [0, 3])
        #expect(tables.map(\.rowsOmitted) == [true, false])
    }

    @Test func `tables that were whole before a limit was reached stay whole`() {
        var collector = RowCollector(limits: CaptureLimits(maxRows: 10))
        add(5, to: first, in: &collector)
        add(20, to: second, in: &collector)
        let tables = collector.finish()
        #expect(tables.map(\.detail) == [.values, .counts])
        #expect(tables.map(\.inserted) == [5, 20])
        #expect(tables.map(\.rows.count) == [5, 0])
        #expect(tables.map(\.rowsOmitted) == [false, true])
    }

    @Test func `rows that come late for a table count towards the limit too`() {
        var collector = RowCollector(limits: CaptureLimits(maxRows: 10))
        add(5, to: first, in: &collector)
        add(20, to: second, in: &collector)
        add(6, to: first, in: &collector)
        let tables = collector.finish()
        #expect(tables.map(\.inserted) == [11, 20])
        #expect(tables.map(\.rows.count) == [0, 0])
        #expect(tables.map(\.rowsOmitted) == [true, true])
    }

    @Test func `requested counts do not count as omitted rows`() {
        var collector = RowCollector(level: .counts)
        add(3, to: first, in: &collector)
        let tables = collector.finish()
        #expect(tables.map(\.detail) == [.counts])
        #expect(tables.map(\.rowsOmitted) == [false])
        #expect(tables.map(\.inserted) == [3])
    }

    @Test func `a compared table without changes is not reported`() {
        var collector = RowCollector()
        _ = collector.level(for: first, byteCount: 10)
        #expect(collector.finish().isEmpty)
    }

    @Test func `rows of a large transaction keep their values in shared allocations`() throws {
        var collector = RowCollector()
        func row(_ number: Int) -> Row {
            Row([.integer(Int64(number)), .text(String(repeating: "x", count: number % 50))])
        }
        for number in 0..<2_000 {
            let change =
                switch number % 3 {
                case 0: RowChange(operation: .insert, rowid: Int64(number), before: nil, after: row(number))
                case 1: RowChange(operation: .update, rowid: Int64(number), before: row(number), after: row(number + 1))
                default: RowChange(operation: .delete, rowid: Int64(number), before: row(number), after: nil)
                }
            collector.receive(change, of: first)
        }
        let rows = try #require(collector.finish().first).rows
        #expect(rows.count == 2_000)
        for change in rows {
            let number = try Int(#require(change.rowid))
            #expect(change.before == (number % 3 == 0 ? nil : row(number)))
            #expect(change.after == (number % 3 == 2 ? nil : row(number % 3 == 0 ? number : number + 1)))
        }
        func address(_ row: Row?) -> UnsafeRawPointer? { row?.withRecord { $0.baseAddress } }
        let inserts = rows.filter { $0.operation == .insert }
        let next = zip(inserts, inserts.dropFirst()).filter { earlier, later in
            address(earlier.after).map { $0 + (earlier.after?.byteCount ?? 0) } == address(later.after)
        }
        #expect(next.count >= 511)
    }
}
