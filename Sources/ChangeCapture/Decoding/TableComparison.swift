/// Compares, table by table, the pages of a commit after the page map was updated.
struct TableComparison<Before: PageReader, After: PageReader> {
    let before: Before
    let after: After
    let oldCatalog: TreeCatalog
    let newCatalog: TreeCatalog
    private let pairing: TablePairing
    private let isSchemaChanged: Bool

    init(
        before: Before,
        after: After,
        oldCatalog: TreeCatalog,
        unchanged: TablePairing,
        schema: PageMap.SchemaStep?
    ) {
        self.before = before
        self.after = after
        self.oldCatalog = oldCatalog
        newCatalog = schema?.after ?? oldCatalog
        pairing = schema?.pairing ?? unchanged
        isSchemaChanged = schema != nil
    }

    func compareTables(_ emitter: inout RowEmitter, _ sink: inout some RowSink) throws(WALDecodeError) {
        let whole = wholeTrees(emitter.commit)
        var pages = writtenPages(emitter.commit, except: whole)
        pages.sort { ($0.tree, $0.page.number) < ($1.tree, $1.page.number) }
        var start = 0
        while start < pages.count {
            let tree = pages[start].tree
            let end = pages[start...].firstIndex { $0.tree != tree } ?? pages.count
            if let step = step(for: tree) {
                try compare(step, pages[start..<end].map(\.page), &emitter, &sink)
            }
            start = end
        }
        for tree in whole.sorted() {
            guard let step = step(for: tree) else { continue }
            try compare(step, try allPages(of: tree), &emitter, &sink)
        }
    }

    /// How a table's rows are read on both sides; nil for a tree that is not reported.
    func step(for tree: Int) -> TableStep? {
        guard let after = newCatalog.trees[tree].layout else { return nil }
        guard isSchemaChanged else { return TableStep(tree: tree, unchanged: after, encoding: newCatalog.encoding) }
        let before = pairing.oldTree[tree].flatMap { oldCatalog.trees[$0].layout }
        return TableStep(
            tree: tree,
            before: before ?? after,
            after: after,
            sources: before == nil ? nil : pairing.columnSources[tree],
            encoding: newCatalog.encoding
        )
    }

    /// Tables for which comparing the pages that the commit wrote is not enough.
    private func wholeTrees(_ commit: CommitPages) -> Set<Int> {
        guard isSchemaChanged else { return [] }
        var whole = commit.rebuiltTrees.filter { newCatalog.trees[$0].layout != nil }
        for (tree, old) in pairing.oldTree.enumerated() {
            guard let old else { continue }
            // The rows of a table that did not change read the same.
            let isSame = newCatalog.trees[tree].layout === oldCatalog.trees[old].layout
            if isSame, pairing.columnSources[tree] == nil { continue }
            if let mapping = step(for: tree)?.mapping, !mapping.isCertain { whole.insert(tree) }
        }
        return whole
    }

    /// The commit's pages, grouped by the table after the commit whose rows they hold or held.
    private func writtenPages(
        _ commit: CommitPages,
        except whole: Set<Int>
    ) -> [(tree: Int, page: KeyedCells.Page)] {
        var pages: [(tree: Int, page: KeyedCells.Page)] = []
        func add(_ tree: Int?, _ number: UInt32, isOld: Bool, isNew: Bool) {
            guard let tree, newCatalog.trees[tree].layout != nil, !whole.contains(tree) else { return }
            pages.append((tree, KeyedCells.Page(number: number, isOld: isOld, isNew: isNew)))
        }
        for page in commit.pages {
            let old = page.oldTree < 0 ? nil : pairing.newTree[Int(page.oldTree)]
            let new = page.newTree < 0 ? nil : Int(page.newTree)
            if old == new {
                add(new, page.number, isOld: true, isNew: true)
            } else {
                add(old, page.number, isOld: true, isNew: false)
                add(new, page.number, isOld: false, isNew: true)
            }
        }
        for page in commit.freed {
            add(pairing.newTree[Int(page.oldTree)], page.number, isOld: true, isNew: false)
        }
        return pages
    }

    /// Every page of a table on both sides.
    private func allPages(of tree: Int) throws(WALDecodeError) -> [KeyedCells.Page] {
        var pages: [UInt32: KeyedCells.Page] = [:]
        if let old = pairing.oldTree[tree] {
            let walk = try TreeWalk(root: oldCatalog.trees[old].rootPage, in: before)
            try walk.forEachPage(in: before) { (number, _, _) throws(WALDecodeError) in
                pages[number] = KeyedCells.Page(number: number, isOld: true, isNew: false)
            }
        }
        let walk = try TreeWalk(root: newCatalog.trees[tree].rootPage, in: after)
        try walk.forEachPage(in: after) { (number, _, _) throws(WALDecodeError) in
            pages[number, default: KeyedCells.Page(number: number, isOld: false, isNew: true)].isNew = true
        }
        return pages.values.sorted { $0.number < $1.number }
    }

    private func compare(
        _ step: TableStep,
        _ pages: [KeyedCells.Page],
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        // Where the value of a missing field is unknown, the changes are unknown too.
        guard step.before.missingValues != nil, step.after.missingValues != nil else {
            return sink.noteChange(of: step.after.table)
        }
        guard step.before.table.hasRowid == step.after.table.hasRowid else {
            // The table was recreated with another kind of key: no row carries over.
            let old = pages.filter(\.isOld).map { KeyedCells.Page(number: $0.number, isOld: true, isNew: false) }
            let new = pages.filter(\.isNew).map { KeyedCells.Page(number: $0.number, isOld: false, isNew: true) }
            try compare(step, hasRowid: step.before.table.hasRowid, old, &emitter, &sink)
            try compare(step, hasRowid: step.after.table.hasRowid, new, &emitter, &sink)
            return
        }
        try compare(step, hasRowid: step.after.table.hasRowid, pages, &emitter, &sink)
    }

    private func compare(
        _ step: TableStep,
        hasRowid: Bool,
        _ pages: [KeyedCells.Page],
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        guard hasRowid else {
            var difference = KeyedDifference(before: before, after: after, step: step, pages: pages)
            try difference.run(&emitter, &sink)
            return
        }
        let old = try LeafSequence(pages.lazy.filter(\.isOld).map(\.number), in: before)
        let new = try LeafSequence(pages.lazy.filter(\.isNew).map(\.number), in: after)
        try emitter.compareByRowid(old, in: before, new, in: after, step, &sink)
    }
}

/// Pairs the tables of the schema before a commit with those after it.
package struct TablePairing: Sendable {
    /// Positions in ``TreeCatalog/trees`` before the commit, for each tree after it; nil for a tree that was created or
    /// is not reported.
    package let oldTree: [Int?]
    /// The inverse.
    package let newTree: [Int?]
    /// For each tree after the commit whose columns changed: the source of each column.
    package let columnSources: [Int: [Int?]]

    /// For a commit that did not change the schema.
    package init(unchanged catalog: TreeCatalog) {
        let pairs = catalog.trees.indices.map { catalog.trees[$0].layout == nil ? nil : Optional($0) }
        oldTree = pairs
        newTree = pairs
        columnSources = [:]
    }

    /// Pairs the tables according to the published schema changes, so that a table is never both created and updated.
    package init(before: TreeCatalog, after: TreeCatalog, changes: [SchemaChange]) {
        var created: Set<SQLName> = []
        var dropped: Set<SQLName> = []
        var modified: [SQLName: SchemaChange.Modification] = [:]
        for change in changes {
            switch change {
            case .created(let table): created.insert(SQLName(table.name))
            case .dropped(let table): dropped.insert(SQLName(table.name))
            case .modified(let modification):
                // Objects after the first do not concern the table itself.
                let name = SQLName(modification.table.name)
                modified[name] = modified[name] ?? modification
            }
        }
        var oldTree = [Int?](repeating: nil, count: after.trees.count)
        var newTree = [Int?](repeating: nil, count: before.trees.count)
        var columnSources: [Int: [Int?]] = [:]
        for (new, tree) in after.trees.enumerated() {
            guard let name = tree.layout.map({ SQLName($0.table.name) }), !created.contains(name) else { continue }
            let previousName = modified[name]?.previousName.map(SQLName.init)
            // A renamed table can take the name of a dropped one; a table that was not renamed cannot.
            guard previousName != nil || !dropped.contains(name) else { continue }
            guard let old = before.tree(ofTable: previousName ?? name) else { continue }
            oldTree[new] = old
            newTree[old] = new
            columnSources[new] = modified[name]?.columnSources
        }
        self.columnSources = columnSources
        self.oldTree = oldTree
        self.newTree = newTree
    }
}

/// One table on both sides of a commit: how its rows are read before and after, and how the old rows carry over.
struct TableStep {
    /// The index in ``TreeCatalog/trees`` after the commit.
    let tree: Int
    let before: TableLayout
    let after: TableLayout
    let encoding: TextEncoding
    /// Nil when records of both sides read the same, so that equal bytes are equal rows.
    let mapping: ColumnMapping?

    /// A row's key is only its rowid.
    let keyIsRowid: Bool

    /// - Parameters:
    ///   - tree: the index of the table's tree after the commit.
    ///   - before: how its rows were read before the commit.
    ///   - after: how they are read after it.
    ///   - sources: for each column after the commit its position before; nil when the columns did not change.
    ///   - encoding: the database's.
    init(tree: Int, before: TableLayout, after: TableLayout, sources: [Int?]?, encoding: TextEncoding) {
        self.tree = tree
        self.before = before
        self.after = after
        self.encoding = encoding
        mapping = ColumnMapping(from: before, to: after, sources: sources)
        keyIsRowid = after.table.primaryKey.isEmpty || after.table.rowidAlias != nil
    }

    /// For a commit that did not change the schema.
    init(tree: Int, unchanged layout: TableLayout, encoding: TextEncoding) {
        self.tree = tree
        before = layout
        after = layout
        self.encoding = encoding
        mapping = nil
        keyIsRowid = layout.table.primaryKey.isEmpty || layout.table.rowidAlias != nil
    }
}
