/// One table on both sides of a commit: how its rows are read before and after, and how the old ones carry over.
struct TableStep {
    /// The place in ``TreeCatalog/trees`` after the commit.
    let tree: Int
    let before: TableLayout
    let after: TableLayout
    let encoding: TextEncoding
    /// Nil where records of both sides mean the same, so that equal bytes are equal rows.
    let mapping: ColumnMapping?

    /// A row's key is its rowid alone.
    let keyIsRowid: Bool

    /// - Parameters:
    ///   - tree: the place of the table's tree after the commit.
    ///   - before: how its rows were read before the commit.
    ///   - after: how they are read after it.
    ///   - sources: for each column after the commit its position before; nil where they are as they were.
    ///   - encoding: the database's.
    init(tree: Int, before: TableLayout, after: TableLayout, sources: [Int?]?, encoding: TextEncoding) {
        self.tree = tree
        self.before = before
        self.after = after
        self.encoding = encoding
        mapping = ColumnMapping(from: before, to: after, sources: sources)
        keyIsRowid = after.table.primaryKey.isEmpty || after.table.rowidAlias != nil
    }

    /// The schema did not change.
    init(tree: Int, unchanged layout: TableLayout, encoding: TextEncoding) {
        self.tree = tree
        before = layout
        after = layout
        self.encoding = encoding
        mapping = nil
        keyIsRowid = layout.table.primaryKey.isEmpty || layout.table.rowidAlias != nil
    }
}
