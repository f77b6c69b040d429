import ChangeCapture
import SQLiteConnection
import Testing

@Suite struct TableLayoutTests {
    @Test func `virtual columns have no field, stored ones do`() {
        let layout = TableLayout(
            Fixture.table([
                Fixture.column("a"), Fixture.column("v", "", .generatedVirtual),
                Fixture.column("s", "", .generatedStored), Fixture.column("b"),
            ])
        ) { _ in .null }
        #expect(layout.columns.map(\.source) == [.field(0), .virtual, .field(1), .field(2)])
        #expect(layout.hasVirtualColumns)
    }

    @Test func `the alias of the rowid keeps its field`() {
        let layout = TableLayout(
            Fixture.table([Fixture.column("a"), Fixture.column("id", "INTEGER"), Fixture.column("b")], rowidAlias: 1)
        ) { _ in .null }
        #expect(layout.columns.map(\.source) == [.field(0), .rowid, .field(2)])
    }

    @Test func `without a rowid the key comes first, a column named twice once`() {
        let layout = TableLayout(
            Fixture.table(
                ["v", "k2", "w", "k1"].map { Fixture.column($0) },
                primaryKey: [3, 1, 3],
                hasRowid: false
            )
        ) { _ in .null }
        #expect(layout.columns.map(\.source) == [.field(2), .field(1), .field(3), .field(0)])
        #expect(layout.keyFieldCount == 2)
    }

    @Test(arguments: [
        ("REAL", true), ("double precision", true), ("FLOAT", true), ("FLOATING POINT", false), ("", false),
        ("NUMERIC", false), ("CHARINT", false), ("TEXTREAL", false), ("BLOBREAL", false), ("DOUBLEINT", false),
    ])
    func `affinity follows SQLite's rules in their order`(_ type: String, _ isReal: Bool) {
        let layout = TableLayout(Fixture.table([Fixture.column("x", type)])) { _ in .null }
        #expect(layout.columns[0].readsIntegersAsReal == isReal)
    }

    @Test func `only columns with a default are asked for it`() {
        var asked: [String] = []
        let layout = TableLayout(
            Fixture.table([
                Fixture.column("a"), Fixture.column("b", default: "7"),
                Fixture.column("c", default: "1", .generatedStored),
            ])
        ) { column in
            asked.append(column.name)
            return .integer(7)
        }
        #expect(asked == ["b"])
        #expect(layout.missingValues == [.null, .integer(7), .null])
    }
}
