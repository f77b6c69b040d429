import ChangeCapture
import RandomSupport
import SQLiteConnection
import Testing

@testable import LiveQueries

/// Many conditions on the rows of one transaction, evaluated together.
@Suite struct ConditionBatchTests {
    private let definition = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, n, r REAL, g AS (n + 1))"
    private let values: [SQLiteValue] = [
        .null, .integer(1), .integer(0), .integer(3), .real(1), .real(2.5), .text("1"), .text("a"), .text("A"),
        .blob([0x61]), .integer(9_007_199_254_740_993), .text(""), .text("{}"),
    ]
    /// With the number of values that each needs, or the names.
    private let templates: [(sql: String, count: Int, names: [String])] = [
        ("n >= ?", 1, []), ("n = ? OR r < ?", 2, []), ("name = ?2 AND id > ?1", 2, []), ("name = :name", 0, ["name"]),
        ("n = @n OR name = $name -- ?", 0, ["n", "name"]), ("? < n AND n < ?1 + 5", 1, []), ("r = ?", 1, []),
        ("name LIKE ? || '%'", 1, []), ("n IN (?, ?, 'x')", 2, []), ("n", 0, []), ("NOT n", 0, []),
        ("n IS NULL AND ?", 1, []), ("g = ?", 1, []), ("typeof(r) = ?", 1, []), ("t.n = main.t.r", 0, []),
        ("coalesce(n, ?3, r) > 0", 3, []), ("json_extract(name, '$') IS NULL OR n = ?", 1, []),
        ("json_valid(name) AND json_extract(name, '$.a') IS ?", 1, []), ("n = '?' OR \"n\" = ?", 1, []),
    ]

    private func condition(_ random: inout SeededGenerator) -> RowCondition {
        let template = random.pick(templates)
        if template.names.isEmpty {
            let values = (0..<template.count).map { _ in random.pick(self.values) }
            return RowCondition(sql: template.sql, parameters: .positional(values))
        }
        let named = Dictionary(uniqueKeysWithValues: template.names.map { ($0, random.pick(values)) })
        return RowCondition(sql: template.sql, parameters: .named(named))
    }

    private func holds(
        _ condition: RowCondition,
        _ row: Row?,
        _ connection: Connection
    ) throws -> Bool? {
        guard let row else { return false }
        try connection.execute("DELETE FROM t")
        _ = try connection.query("INSERT INTO t(id, name, n, r) VALUES(?, ?, ?, ?)", Array(row.values.prefix(4)))
        do {
            var statement = try connection.prepare("SELECT 1 FROM t WHERE (\(condition.sql)\n)")
            for (index, value) in try condition.parameters.values(for: statement).enumerated() {
                try statement.bind(value, at: index + 1)
            }
            return try statement.step()
        } catch is SQLiteError {
            return nil
        }
    }

    @Test func `are each evaluated as SQLite evaluates it alone`() throws {
        var random = SeededGenerator.announced()
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute(definition)
        let table = try #require(try SchemaSnapshot.load(from: connection)["t"]).description
        let filter = try RowFilterTable(table)
        var conditions: [RowCondition] = []
        var checked = (unknown: 0, selected: 0)
        for _ in 0..<12 {
            // Subscriptions come and go.
            conditions.removeAll { _ in random.chance(15) }
            while conditions.count < 150 { conditions.append(condition(&random)) }
            var changes: [RowChange] = []
            for id in 1...8 {
                func row() throws -> Row {
                    try connection.execute("DELETE FROM t")
                    let values = [SQLiteValue.integer(Int64(id))] + (0..<3).map { _ in random.pick(self.values) }
                    _ = try connection.query("INSERT INTO t(id, name, n, r) VALUES(?, ?, ?, ?)", values)
                    return Row(try connection.query("SELECT * FROM t")[0])
                }
                let operation = random.pick([RowChange.Operation.insert, .update, .delete])
                changes.append(
                    RowChange(
                        operation: operation,
                        rowid: Int64(id),
                        before: operation == .insert ? nil : try row(),
                        after: operation == .delete ? nil : try row()
                    )
                )
            }
            let rows = TableRows(
                table: table,
                inserted: 0,
                updated: 0,
                deleted: 0,
                rows: changes,
                rowsOmitted: false
            )
            let results = filter.evaluate(rows, conditions)
            for condition in Set(conditions) {
                var (expected, isUnknown) = ([Int](), false)
                for (place, change) in changes.enumerated() {
                    guard let old = try holds(condition, change.before, connection),
                        let new = try holds(condition, change.after, connection)
                    else {
                        isUnknown = true
                        continue
                    }
                    if old || new { expected.append(place) }
                }
                let result = try #require(results[condition])
                checked.unknown += isUnknown ? 1 : 0
                checked.selected += expected.count
                #expect(result.isUnknown == isUnknown, "\(condition)")
                if !isUnknown { #expect(result.entries.map(\.index) == expected, "\(condition)") }
            }
        }
        #expect(checked.unknown > 20 && checked.selected > 1_000)
    }

    @Test func `share the rows that several of them select`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute(definition)
        let table = try #require(try SchemaSnapshot.load(from: connection)["t"]).description
        let filter = try RowFilterTable(table)
        let changes = (1...3).map { id in
            let values: [SQLiteValue] = [
                .integer(Int64(id)), .null, .integer(Int64(id)), .null, .integer(Int64(id) + 1),
            ]
            return RowChange(operation: .insert, rowid: Int64(id), before: nil, after: Row(values))
        }
        let rows = TableRows(table: table, inserted: 3, updated: 0, deleted: 0, rows: changes, rowsOmitted: false)
        let conditions = (-200..<3).map { RowCondition(sql: "n > ?", parameters: .positional([.integer($0)])) }
        let results = filter.evaluate(rows, conditions)
        let selections = Set(results.values.map { ObjectIdentifier($0.selection) })
        #expect(selections.count == 3)
        #expect(results[conditions[0]]?.entries.map(\.index) == [0, 1, 2])
        #expect(results[conditions[201]]?.entries.map(\.index) == [1, 2])
        #expect(results[conditions[202]]?.entries.map(\.index) == [2])
    }

    @Test func `do not suffer from one that fails on a row`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, j)")
        let table = try #require(try SchemaSnapshot.load(from: connection)["t"]).description
        let filter = try RowFilterTable(table)
        let changes = ["{}", "no JSON", "{}"].enumerated().map { place, text in
            RowChange(
                operation: .insert,
                rowid: Int64(place),
                before: nil,
                after: Row([.integer(Int64(place)), .text(text)])
            )
        }
        let rows = TableRows(table: table, inserted: 3, updated: 0, deleted: 0, rows: changes, rowsOmitted: false)
        let failing = RowCondition(sql: "json_extract(j, '$.a') IS NULL")
        let others = [RowCondition(sql: "id > 0"), RowCondition(sql: "j = '{}'")]
        for _ in 0..<3 {
            let results = filter.evaluate(rows, [failing] + others)
            #expect(results[failing]?.isUnknown == true)
            #expect(others.map { results[$0]?.entries.map(\.index) } == [[1, 2], [0, 2]])
        }
    }

    @Test func `are forgotten when no subscription needs them`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute(definition)
        let table = try #require(try SchemaSnapshot.load(from: connection)["t"]).description
        let filter = try RowFilterTable(table)
        let row = RowChange(
            operation: .insert,
            rowid: 1,
            before: nil,
            after: Row([.integer(1), .null, .integer(1), .null, .integer(2)])
        )
        let rows = TableRows(table: table, inserted: 1, updated: 0, deleted: 0, rows: [row], rowsOmitted: false)
        for first in stride(from: 0, to: 5_000, by: 100) {
            let conditions = (first..<first + 100).map { number in
                RowCondition(sql: "n >= ? - 2500", parameters: .positional([.integer(Int64(number))]))
            }
            let results = filter.evaluate(rows, conditions)
            #expect(conditions.count { results[$0]?.entries.isEmpty == false } == max(0, min(100, 2_502 - first)))
            #expect(filter.preparedCount <= 1_300)
        }
    }
}
