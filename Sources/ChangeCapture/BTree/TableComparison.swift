/// Compares, table by table, the pages of a commit whose places in the trees are known.
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

    /// Tables of which it is not enough to compare the pages that the commit wrote.
    private func wholeTrees(_ commit: CommitPages) -> Set<Int> {
        guard isSchemaChanged else { return [] }
        var whole = commit.rebuiltTrees.filter { newCatalog.trees[$0].layout != nil }
        for tree in pairing.oldTree.indices where pairing.oldTree[tree] != nil {
            if let mapping = step(for: tree)?.mapping, !mapping.isCertain { whole.insert(tree) }
        }
        return whole
    }

    /// The commit's pages by the table after it whose rows they hold or held.
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
        // Where it is not known what a missing field reads as, it is not known what changed either.
        guard step.before.missingValues != nil, step.after.missingValues != nil else {
            return sink.noteChange(of: step.after.table)
        }
        guard step.before.table.hasRowid == step.after.table.hasRowid else {
            // The table was made anew with another kind of key: nothing carries over.
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
