import ChangeCapture
import RandomSupport
import SQLiteConnection
import Testing

@testable import LiveQueries

@Suite struct RowFilterTests {
    private let definition = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, n, r REAL, g AS (n + 1))"

    private func database(_ sql: String) throws -> (Connection, TableDescription) {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute(sql)
        let schema = try SchemaSnapshot.load(from: connection)
        let table = try #require(schema.tables.values.first)
        return (connection, table.description)
    }

    private func changes(_ table: TableDescription, _ rows: [(RowChange.Operation, [SQLiteValue]?, [SQLiteValue]?)])
        -> TableRows
    {
        let rows = rows.map { operation, before, after in
            RowChange(operation: operation, rowid: 1, before: before.map { Row($0) }, after: after.map { Row($0) })
        }
        return TableRows(table: table, inserted: 0, updated: 0, deleted: 0, rows: rows, rowsOmitted: false)
    }

    /// Each took hours, on the thread that publishes.
    @Test(arguments: [
        "instr(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b') = n",
        "printf('%.*c', 16000000, 'a') LIKE '%' || printf('%.*c', 900, 'a') || 'b'",
        "max(" + (0..<66).map { "printf('%4000000d', \($0))" }.joined(separator: ", ") + ") <> ''",
    ])
    func `an expression without an end leaves the rows unknown or ends`(sql: String) throws {
        let (_, table) = try database(definition)
        let filter = try RowFilterTable(table)
        let condition = RowCondition(sql: sql, parameters: .positional([]))
        try filter.check(condition)
        let row: [SQLiteValue] = [.integer(1), .text("a"), .integer(1), .null, .integer(2)]
        let start = ContinuousClock.now
        _ = filter.evaluate(changes(table, [(.insert, nil, row)]), [condition])
        #expect(start.duration(to: .now) < .seconds(15))
    }

    @Test func `a row that comes to match has entered, one that ceases to has left`() throws {
        let (_, table) = try database(definition)
        let filter = try RowFilterTable(table)
        let condition = RowCondition(sql: "n > ?", parameters: .positional([.integer(5)]))
        let (low, high): ([SQLiteValue], [SQLiteValue]) = (
            [.integer(1), .text("a"), .integer(1), .null, .integer(2)],
            [.integer(1), .text("a"), .integer(9), .null, .integer(10)]
        )
        let rows = changes(
            table,
            [
                (.update, low, high), (.update, high, low), (.update, high, high), (.update, low, low),
                (.insert, nil, high),
                (.insert, nil, low), (.delete, high, nil), (.delete, low, nil),
            ]
        )
        let entries = try #require(filter.evaluate(rows, [condition])[condition]).entries
        #expect(entries.map(\.change.operation) == [.insert, .delete, .update, .insert, .delete])
        #expect(entries.map(\.crossing) == [.entered, .left, nil, nil, nil])
        #expect(entries.map(\.operation) == [.update, .update, .update, .insert, .delete])
        #expect(entries[0].change.before == nil)
        #expect(entries[1].change.after == nil)
    }

    @Test func `conditions are evaluated as SQLite evaluates them on the table`() throws {
        var random = SeededGenerator.announced()
        let values: [SQLiteValue] = [
            .null, .integer(1), .integer(0), .real(1), .real(2.5), .text("1"), .text("a"), .text("A"), .blob([0x61]),
            .integer(9_007_199_254_740_993), .text(""),
        ]
        let conditions = [
            "name = 'A'", "n = 1", "n > '1'", "r = '1'", "typeof(r) = 'real'", "typeof(n) = 'integer'", "n IS NULL",
            "g = 2",
            "name LIKE 'a%'", "name IN ('A', 'x')", "n", "NOT n", "t.n = main.t.r", "rowid = 1",
            "_rowid_ < 3 AND id > 0",
            "n BETWEEN 0 AND 2 -- a comment", "coalesce(n, r, 1) > 0", "r <> n",
        ].map { RowCondition(sql: $0) }
        let (connection, table) = try database(definition)
        let filter = try RowFilterTable(table)
        for _ in 0..<300 {
            try connection.execute("DELETE FROM t")
            let row: [SQLiteValue] = [.integer(Int64(random.int(1...4)))] + (0..<3).map { _ in random.pick(values) }
            _ = try connection.query("INSERT INTO t VALUES(?, ?, ?, ?)", row)
            let stored = try connection.query("SELECT * FROM t")[0]
            var rows = changes(table, [(.insert, nil, stored)])
            rows.rows[0].rowid = { if case .integer(let id) = stored[0] { id } else { nil } }()
            let results = filter.evaluate(rows, conditions)
            for condition in conditions {
                let isMatch = try !connection.query("SELECT 1 FROM t WHERE (\(condition.sql)\n)").isEmpty
                #expect(results[condition]?.entries.isEmpty == !isMatch, "\(condition.sql) on \(stored)")
            }
        }
    }

    @Test(
        arguments: [
            ("nope = 1", LiveRefusal.Code.sqlError, 0), ("n = 1 AND nope > 2", .sqlError, 10),
            ("n IN (SELECT 1)", .notLive, 6),
            ("random() > n", .notLive, 0), ("n > date('now')", .notLive, 4), ("1) OR (1", .sqlError, 1),
            ("n = 1; DROP TABLE t", .sqlError, 5),
            ("", .sqlError, 0), ("n = = 1", .sqlError, 4), ("count(*) > 1", .sqlError, 0),
        ]
    )
    func `a condition that cannot be evaluated is refused with the place`(
        _ sql: String,
        _ code: LiveRefusal.Code,
        _ offset: Int
    ) throws {
        let (_, table) = try database(definition)
        let filter = try RowFilterTable(table)
        let refusal = #expect(throws: LiveRefusal.self) { try filter.check(RowCondition(sql: sql)) }
        #expect(refusal?.code == code, "\(refusal?.reason ?? "")")
        #expect(refusal?.offset == offset, "\(refusal?.reason ?? "")")
    }

    @Test func `the current time is refused as a parameter of a condition`() throws {
        let (_, table) = try database(definition)
        let filter = try RowFilterTable(table)
        func check(_ value: String) throws {
            try filter.check(RowCondition(sql: "name < date(?)", parameters: .positional([.text(value)])))
        }
        let refusal = #expect(throws: LiveRefusal.self) { try check("Now") }
        #expect(refusal?.code == .notLive)
        #expect(refusal?.offset == 7)
        try check("2026-01-01")
    }

    @Test func `conditions share a statement and keep their own parameters`() throws {
        let (_, table) = try database("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)")
        let filter = try RowFilterTable(table)
        let names = ["caf\u{e9}", "cafe\u{301}", "x"]
        let conditions = names.map { RowCondition(sql: "name = ?", parameters: .positional([.text($0)])) }
        #expect(Set(conditions).count == 3)
        let rows = changes(table, names.enumerated().map { (.insert, nil, [.integer(Int64($0)), .text($1)]) })
        let result = filter.evaluate(rows, conditions)
        for (number, condition) in conditions.enumerated() {
            #expect(result[condition]?.entries.map { $0.change.after?.values[0] } == [.integer(Int64(number))])
        }
        let missing = RowCondition(sql: "name = ?")
        #expect(throws: LiveRefusal.self) { try filter.check(missing) }
        #expect(filter.evaluate(rows, [conditions[0]])[conditions[0]]?.entries.count == 1)
    }

    @Test func `a condition that fails on a row makes the change unknown`() throws {
        let (_, table) = try database("CREATE TABLE t(id INTEGER PRIMARY KEY, j)")
        let filter = try RowFilterTable(table)
        let condition = RowCondition(sql: "json_extract(j, '$.a') = 1")
        let rows = changes(table, [(.insert, nil, [.integer(1), .text("{not json")])])
        #expect(filter.evaluate(rows, [condition])[condition]?.isUnknown == true)
    }

    @Test(arguments: [
        "CREATE TABLE t(k TEXT PRIMARY KEY, n) WITHOUT ROWID", "CREATE TABLE t(rowid, oid, _rowid_, n)",
        "CREATE TABLE t(k, n INT NOT NULL CHECK (n > 0)) STRICT".replacing("k,", with: "k TEXT,"),
    ])
    func `tables of every form can be filtered`(_ definition: String) throws {
        let (_, table) = try database(definition)
        let filter = try RowFilterTable(table)
        let condition = RowCondition(sql: "n = :n", parameters: .named(["n": .integer(7)]))
        try filter.check(condition)
        let row = table.columns.map { $0.name == "n" ? SQLiteValue.integer(7) : .text("k") }
        #expect(filter.evaluate(changes(table, [(.insert, nil, row)]), [condition])[condition]?.entries.count == 1)
    }

    @Test func `a view cannot be filtered`() throws {
        let (_, table) = try database("CREATE VIEW t AS SELECT 1 AS n")
        #expect(throws: LiveRefusal.self) { try RowFilterTable(table) }
    }
}
