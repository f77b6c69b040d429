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
}
