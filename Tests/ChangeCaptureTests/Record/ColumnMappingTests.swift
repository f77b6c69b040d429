import ChangeCapture
import SQLiteConnection
import Testing

@Suite struct ColumnMappingTests {
    private func layout(_ names: String..., default value: Int64? = nil) -> TableLayout {
        let columns = names.map { Fixture.column($0, default: value == nil ? nil : "1") }
        return TableLayout(Fixture.table(columns), missingValue: .integer(value ?? 0))
    }

    @Test func `columns as they were need no mapping`() {
        #expect(ColumnMapping(from: layout("a", "b"), to: layout("a", "b"), sources: nil) == nil)
    }

    @Test func `an added column reads its default in rows that were not written`() throws {
        let mapping = try #require(
            ColumnMapping(from: layout("a"), to: layout("a", "b", default: 7), sources: [0, nil])
        )
        #expect(mapping.sources == [0, nil])
        #expect(mapping.missingValues[1] == .integer(7))
    }

    @Test(arguments: [(1, 1, true), (1, 2, false), (nil, 2, false)] as [(Int64?, Int64?, Bool)])
    func `a column renamed keeps its default, or it is another column`(old: Int64?, new: Int64?, isCertain: Bool) throws
    {
        let mapping = ColumnMapping(from: layout("a", default: old), to: layout("b", default: new), sources: [0])
        #expect(try #require(mapping).isCertain == isCertain)
    }

    @Test(
        arguments: [
            ("added at the end", ["a", "b"], ["a", "b", "c"], [0, 1, nil], true),
            ("one renamed", ["a", "b"], ["a", "x"], [0, 1], true),
            ("dropped", ["a", "b", "c"], ["a", "c"], [0, 2], true),
            ("two renamed could have been swapped", ["a", "b"], ["b", "a"], [1, 0], false),
            ("dropped and added", ["a", "b"], ["a", "c"], [0, nil], false),
            ("dropped, and one added in the middle of others", ["a", "b", "c"], ["c", "a"], [2, 0], false),
        ] as [(String, [String], [String], [Int?], Bool)]
    )
    func `rows that were not written carry over only where that is certain`(
        _ what: String,
        _ old: [String],
        _ new: [String],
        _ sources: [Int?],
        _ isCertain: Bool
    ) throws {
        let before = TableLayout(Fixture.table(old.map { Fixture.column($0) }))
        let after = TableLayout(Fixture.table(new.map { Fixture.column($0) }))
        #expect(
            try #require(ColumnMapping(from: before, to: after, sources: sources)).isCertain == isCertain,
            "\(what)"
        )
    }
}
