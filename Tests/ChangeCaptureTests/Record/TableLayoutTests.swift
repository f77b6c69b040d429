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
        )
        #expect(layout.columns.map(\.source) == [.field(0), .virtual, .field(1), .field(2)])
        #expect(layout.hasVirtualColumns)
    }

    @Test func `the alias of the rowid keeps its field`() {
        let layout = TableLayout(
            Fixture.table([Fixture.column("a"), Fixture.column("id", "INTEGER"), Fixture.column("b")], rowidAlias: 1)
        )
        #expect(layout.columns.map(\.source) == [.field(0), .rowid, .field(2)])
    }

    @Test func `without a rowid the key comes first, a column of two collations twice`() {
        let layout = TableLayout(
            Fixture.table(["v", "k2", "w", "k1"].map { Fixture.column($0) }, primaryKey: [3, 1], hasRowid: false),
            fields: RecordFields(columns: [3, 1, 3, 0, 2], keyCount: 3, keyIndex: SQLName("i")),
            missingValues: nil
        )
        #expect(layout.columns.map(\.source) == [.field(3), .field(1), .field(4), .field(0)])
        #expect(layout.keyFieldCount == 3)
    }

    @Test(arguments: [
        ("REAL", true), ("double precision", true), ("FLOAT", true), ("FLOATING POINT", false), ("", false),
        ("NUMERIC", false), ("CHARINT", false), ("TEXTREAL", false), ("BLOBREAL", false), ("DOUBLEINT", false),
        ("REAL \u{131}NT", true), ("\u{fb02}oat", false),
    ])
    func `affinity follows SQLite's rules in their order`(_ type: String, _ isReal: Bool) {
        let layout = TableLayout(Fixture.table([Fixture.column("x", type)]))
        #expect(layout.columns[0].readsIntegersAsReal == isReal)
    }
}
