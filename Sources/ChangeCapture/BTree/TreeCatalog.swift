/// Every b-tree of a database as of one commit: where its root is and how its cells are to be read.
///
/// Immutable, and compared by identity: two commits with the same schema share one catalog.
package final class TreeCatalog: Sendable {
    package enum Kind: Sendable, Hashable {
        /// A table b-tree: rows in the leaves, in order of rowid.
        case rowidTable
        /// An index b-tree that is a `WITHOUT ROWID` table: rows on leaves and interior pages.
        case withoutRowidTable
        case index
    }

    package struct Tree: Sendable {
        package var rootPage: UInt32
        package var kind: Kind
        /// How to read the rows; nil for a tree whose rows are not reported: indexes, `sqlite_…` tables, shadow tables.
        package var layout: TableLayout?
        /// The virtual table whose content a shadow table is part of.
        package var owner: TableDescription?

        package init(rootPage: UInt32, kind: Kind, layout: TableLayout?, owner: TableDescription? = nil) {
            self.rootPage = rootPage
            self.kind = kind
            self.layout = layout
            self.owner = owner
        }
    }

    package let encoding: TextEncoding
    /// The schema table, root page 1, comes first.
    package let trees: [Tree]
    private let treeOfTable: [SQLName: Int]

    /// Takes every row of `sqlite_schema` with a root page above 0, in any order; adds the schema table itself.
    package init(encoding: TextEncoding, trees: [Tree]) {
        self.encoding = encoding
        self.trees = [Tree(rootPage: 1, kind: .rowidTable, layout: nil)] + trees.filter { $0.rootPage > 1 }
        var treeOfTable: [SQLName: Int] = [:]
        for (index, tree) in self.trees.enumerated() {
            if let name = tree.layout?.table.name { treeOfTable[SQLName(name)] = index }
        }
        self.treeOfTable = treeOfTable
    }

    /// The position in ``trees`` of the reported table.
    package func tree(ofTable name: SQLName) -> Int? { treeOfTable[name] }
}
