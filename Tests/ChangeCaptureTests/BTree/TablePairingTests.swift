import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct TablePairingTests {
    private func catalog(_ tables: [(String, UInt32)]) -> TreeCatalog {
        TreeCatalog(
            encoding: .utf8,
            trees: tables.map { name, root in
                let layout = TableLayout(Fixture.table([Fixture.column("x")], name: name))
                return TreeCatalog.Tree(rootPage: root, kind: .rowidTable, layout: layout)
            }
        )
    }

    private func table(_ name: String) -> TableDescription { Fixture.table([Fixture.column("x")], name: name) }

    @Test func `tables are the same by name, the schema table is not reported`() {
        let pairing = TablePairing(
            before: catalog([("a", 2), ("b", 3)]),
            after: catalog([("b", 4), ("a", 2)]),
            changes: []
        )
        #expect(pairing.oldTree == [nil, 2, 1])
        #expect(pairing.newTree == [nil, 2, 1])
    }

    @Test func `a renamed table is found under its previous name, swapped names too`() {
        let changes: [SchemaChange] = [("a", "b"), ("b", "a")].map {
            .modified(.init(table: table($0), previousName: $1))
        }
        let pairing = TablePairing(
            before: catalog([("a", 2), ("b", 3)]),
            after: catalog([("a", 3), ("b", 2)]),
            changes: changes
        )
        #expect(pairing.oldTree == [nil, 2, 1])
    }

    @Test func `a table dropped and created again under its name has no predecessor`() {
        let pairing = TablePairing(
            before: catalog([("a", 2)]),
            after: catalog([("a", 2)]),
            changes: [.dropped(table("a")), .created(table("a"))]
        )
        #expect(pairing.oldTree == [nil, nil])
    }

    @Test func `a renamed table can take the name of a dropped one`() {
        let pairing = TablePairing(
            before: catalog([("a", 2), ("b", 3)]),
            after: catalog([("a", 3)]),
            changes: [.dropped(table("a")), .modified(.init(table: table("a"), previousName: "b"))]
        )
        #expect(pairing.oldTree == [nil, 2])
        #expect(pairing.newTree == [nil, nil, 1])
    }
}
