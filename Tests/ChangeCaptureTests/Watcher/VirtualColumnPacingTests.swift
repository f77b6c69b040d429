import SQLiteConnection
import Testing

@testable import ChangeCapture

struct VirtualColumnPacingTests {
    private let table = TableDescription(
        name: "t",
        kind: .table,
        sql: "CREATE TABLE t (a, b AS (a), c AS (a))",
        columns: [],
        primaryKey: [],
        hasRowid: true,
        rowidAlias: nil
    )

    @Test func `columns that took too long are left out for as many times as long, and tried again then`() {
        var pacing = VirtualColumnPacing(limit: .seconds(1), pauseFactor: 20)
        let now = ContinuousClock.now
        #expect(pacing.omitted(table, at: now) == [])
        pacing.pause([1], of: table, after: .seconds(1), at: now)
        #expect(pacing.omitted(table, at: now + .seconds(19)) == [1])
        #expect(pacing.omitted(table, at: now + .seconds(20)) == [])
    }

    @Test func `another column of the table that takes too long joins those that are left out`() {
        var pacing = VirtualColumnPacing(limit: .seconds(1), pauseFactor: 20)
        let now = ContinuousClock.now
        pacing.pause([1], of: table, after: .seconds(1), at: now)
        pacing.pause([2], of: table, after: .seconds(1), at: now + .seconds(1))
        #expect(pacing.omitted(table, at: now + .seconds(2)) == [1, 2])
    }

    @Test func `a table with another definition is tried at once`() {
        var pacing = VirtualColumnPacing(limit: .seconds(1), pauseFactor: 20)
        let now = ContinuousClock.now
        pacing.pause([1], of: table, after: .seconds(1), at: now)
        var altered = table
        altered.sql = "CREATE TABLE t (a, b AS (1), c AS (a))"
        #expect(pacing.omitted(altered, at: now) == [])
    }

    @Test func `the columns together and one by one take no more than the limit`() {
        let allowance = VirtualColumnPacing(limit: .seconds(1), pauseFactor: 20).allowance(forColumns: 4)
        #expect(allowance.together + allowance.each * 4 <= .seconds(1))
    }
}
