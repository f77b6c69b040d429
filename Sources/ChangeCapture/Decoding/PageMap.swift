/// Maps every page of a database to its b-tree: for each page the page that refers to it.
///
/// Built once by reading interior pages only (a few milliseconds for a gigabyte), then kept up to date from the pages
/// that each commit changed. Four bytes for each page of a tree.
package struct PageMap: Sendable {
    /// An index in ``TreeCatalog/trees``.
    package typealias TreeIndex = Int

    /// For each page: 0 for a page of no tree, `rootFlag` plus the tree for a root, else the parent page.
    private var links = PageTable()
    static let rootFlag: UInt32 = 1 << 31

    /// Walks the interior pages of every tree.
    package static func build(from reader: some PageReader, catalog: TreeCatalog) throws(WALDecodeError) -> PageMap {
        var map = PageMap()
        // An empty file is a database without any page.
        guard reader.pageCount > 0 else { return map }
        try map.check(pageCount: reader.pageCount)
        for (index, tree) in catalog.trees.enumerated() {
            try map.setRoot(tree.rootPage, tree: index, pageCount: reader.pageCount)
            let walk = try TreeWalk(root: tree.rootPage, in: reader)
            try walk.forEachPage(in: reader) { (page, parent, _) throws(WALDecodeError) in
                guard parent != 0 else { return }
                guard map.links[page] == 0 else { throw WALDecodeError(page: page, .pageInTwoPlaces) }
                map.links[page] = parent
            }
        }
        return map
    }

    /// The tree that a page belongs to; nil for a page of no tree, such as an overflow page or a free page.
    @inline(__always)
    package func tree(of page: UInt32) -> TreeIndex? {
        let root = top(from: page)
        return root & Self.rootFlag != 0 ? TreeIndex(root & ~Self.rootFlag) : nil
    }

    /// Whether the page is reachable from a root.
    package func contains(_ page: UInt32) -> Bool { tree(of: page) != nil }

    /// The pages whose link differs in `other`: empty when both describe the same database.
    package func differences(from other: PageMap) -> [UInt32] {
        var pages: [UInt32] = []
        links.forEach { page, link in if other.links[page] != link { pages.append(page) } }
        other.links.forEach { page, _ in if links[page] == 0 { pages.append(page) } }
        return pages.sorted()
    }

    /// The flagged root link above the page, or 0.
    @inline(__always)
    private func top(from page: UInt32) -> UInt32 {
        var number = page
        for _ in 0...TreeWalk.maxHeight {
            guard number != 0 else { return 0 }
            let link = links[number]
            if link & Self.rootFlag != 0 { return link }
            number = link
        }
        return 0
    }
}

// Support for updating the map: see PageMapUpdate.
extension PageMap {
    /// Checks that a database of this size can be mapped.
    func check(pageCount: UInt32) throws(WALDecodeError) {
        // The bit that marks a root; a database of 2^31 pages has at least a terabyte, at the smallest page size.
        guard pageCount < Self.rootFlag else { throw WALDecodeError(page: pageCount, .pageOutOfRange) }
    }

    /// Calls `body` with every page of a tree from this page number on.
    func forEachPage(from first: UInt32, _ body: (UInt32) -> Void) {
        links.forEach { page, _ in if page >= first { body(page) } }
    }

    @inline(__always)
    func link(of page: UInt32) -> UInt32 { links[page] }

    @inline(__always)
    mutating func setLink(of page: UInt32, to link: UInt32) { links[page] = link }

    mutating func setRoot(_ page: UInt32, tree: TreeIndex, pageCount: UInt32) throws(WALDecodeError) {
        guard page > 0, page <= pageCount else { throw WALDecodeError(page: page, .pageOutOfRange) }
        guard links[page] == 0 else { throw WALDecodeError(page: page, .pageInTwoPlaces) }
        links[page] = Self.rootFlag | UInt32(tree)
    }
}

/// Updates a ``PageMap`` from one commit to the next, and sorts the commit's pages by their trees.
///
/// The result is correct because of the order of the steps. First, the old owners are recorded before any link changes.
/// Then the children of every changed interior page are cut off, and attached again only downwards from the roots,
/// through pages that are themselves known to be attached: a page whose stale bytes look like a b-tree page attaches
/// nothing. A page that was cut off and not attached again has been freed, even if the commit did not write it:
/// freelist pages need not be in the log.
///
/// When only the differences of a commit are known, a page may also have joined a tree with unchanged bytes: freed and
/// used again for the same content, or the root of a recreated table. Such a page is treated as written, and so are its
/// children.
extension PageMap {
    mutating func advance(
        _ commit: inout CommitPages,
        before: some PageReader,
        after: some PageReader,
        schema: SchemaStep?,
        evidence: CommitDecoder.Evidence = .frames
    ) throws(WALDecodeError) {
        noteOldTrees(&commit, before: before, after: after)
        try detachChildren(&commit, before: before)
        if let schema { try replaceRoots(schema, &commit, before: before, after: after, evidence) }
        try attach(&commit, before: before, after: after, schema: schema, evidence)
        try collectFreed(&commit, before: before)
    }

    /// The catalogs on both sides of a commit that changed the schema.
    struct SchemaStep {
        var before: TreeCatalog
        var after: TreeCatalog
        var pairing: TablePairing
    }

    private func noteOldTrees(_ commit: inout CommitPages, before: some PageReader, after: some PageReader) {
        // Pages cut off the end of the file have left their trees too.
        if after.pageCount < before.pageCount {
            forEachPage(from: after.pageCount + 1) { commit.add($0) }
        }
        for index in commit.pages.indices {
            commit.pages[index].oldTree = Int32(tree(of: commit.pages[index].number) ?? -1)
        }
    }

    private mutating func detachChildren(
        _ commit: inout CommitPages,
        before: some PageReader
    ) throws(WALDecodeError) {
        for page in commit.pages where page.oldTree >= 0 {
            try detachChildren(of: page.number, oldTree: page.oldTree, &commit, before: before)
        }
    }

    private mutating func detachChildren(
        of page: UInt32,
        oldTree: Int32,
        _ commit: inout CommitPages,
        before: some PageReader
    ) throws(WALDecodeError) {
        try before.withTreePage(page, format: before.format) { (treePage) throws(WALDecodeError) in
            try treePage.forEachChild { (child) throws(WALDecodeError) in
                guard link(of: child) == page else { return }
                setLink(of: child, to: 0)
                commit.detach(child, oldTree: oldTree)
            }
        }
    }

    private mutating func replaceRoots(
        _ schema: SchemaStep,
        _ commit: inout CommitPages,
        before: some PageReader,
        after: some PageReader,
        _ evidence: CommitDecoder.Evidence
    ) throws(WALDecodeError) {
        for (index, tree) in schema.before.trees.enumerated() {
            setLink(of: tree.rootPage, to: 0)
            commit.detach(tree.rootPage, oldTree: Int32(index))
        }
        for (index, tree) in schema.after.trees.enumerated() {
            let old = treeBefore(tree.rootPage, commit)
            // A root that was an inner page of another tree must have been written; its old link is useless.
            if tree.rootPage <= after.pageCount, link(of: tree.rootPage) & Self.rootFlag == 0 {
                setLink(of: tree.rootPage, to: 0)
            }
            try setRoot(tree.rootPage, tree: index, pageCount: after.pageCount)
            guard !commit.isWritten(tree.rootPage) else { continue }
            switch evidence {
            case .frames: try checkContinuity(of: tree.rootPage, in: index, commit: &commit, schema: schema)
            case .differences:
                try noteReuse(of: tree.rootPage, from: old, in: index, &commit, before: before, schema: schema)
            }
        }
    }

    /// Goes from the roots downwards: a page is attached once a chain of attached pages leads to it.
    private mutating func attach(
        _ commit: inout CommitPages,
        before: some PageReader,
        after: some PageReader,
        schema: SchemaStep?,
        _ evidence: CommitDecoder.Evidence
    ) throws(WALDecodeError) {
        let format = after.format
        var waiting = commit.pages.indices.filter { commit.pages[$0].number <= after.pageCount }
        var progress = true
        while progress, !waiting.isEmpty {
            progress = false
            let count = commit.pages.count
            var stillWaiting: [Int] = []
            for index in waiting {
                let number = commit.pages[index].number
                guard let tree = provenTree(of: number, commit: commit) else {
                    stillWaiting.append(index)
                    continue
                }
                progress = true
                commit.pages[index].newTree = Int32(tree)
                try after.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                    try page.forEachChild { (child) throws(WALDecodeError) in
                        guard child > 1, child <= after.pageCount else {
                            throw WALDecodeError(page: child, .pageOutOfRange)
                        }
                        try attach(child, to: number, tree, &commit, before: before, schema: schema, evidence)
                    }
                }
            }
            // Pages that turned out to be reused during this pass.
            waiting = stillWaiting + (count..<commit.pages.count)
        }
        for index in waiting { setLink(of: commit.pages[index].number, to: 0) }
        for page in commit.pages where page.number > after.pageCount { setLink(of: page.number, to: 0) }
    }

    /// The tree of a page whose whole path to a root is known for the state after the commit.
    private func provenTree(of number: UInt32, commit: CommitPages) -> TreeIndex? {
        var link = link(of: number)
        for _ in 0...TreeWalk.maxHeight {
            if link & Self.rootFlag != 0 { return TreeIndex(link & ~Self.rootFlag) }
            if link == 0 { return nil }
            if let index = commit.index(of: link), commit.pages[index].newTree < 0 { return nil }
            link = self.link(of: link)
        }
        return nil
    }

    private mutating func attach(
        _ child: UInt32,
        to parent: UInt32,
        _ tree: TreeIndex,
        _ commit: inout CommitPages,
        before: some PageReader,
        schema: SchemaStep?,
        _ evidence: CommitDecoder.Evidence
    ) throws(WALDecodeError) {
        let current = link(of: child)
        // The links of written pages were cut, so an existing link was attached just now by another parent; a root has
        // no parent.
        guard current == 0 || current & Self.rootFlag == 0 && !commit.isWritten(current) else {
            throw WALDecodeError(page: child, .pageInTwoPlaces)
        }
        if !commit.isWritten(child) {
            switch evidence {
            case .frames:
                guard current != 0 || commit.treeCutFrom(child) != nil else {
                    throw WALDecodeError(page: child, .unwrittenPageJoinedTree)
                }
                if let schema { try checkContinuity(of: child, in: tree, commit: &commit, schema: schema) }
            case .differences:
                let old = treeBefore(child, commit)
                try noteReuse(of: child, from: old, in: tree, &commit, before: before, schema: schema)
            }
        }
        setLink(of: child, to: parent)
    }

    /// A page with unchanged bytes is in a tree: treats it as written unless it belonged to the same table before.
    private mutating func noteReuse(
        of page: UInt32,
        from oldTree: Int32?,
        in tree: TreeIndex,
        _ commit: inout CommitPages,
        before: some PageReader,
        schema: SchemaStep?
    ) throws(WALDecodeError) {
        guard let oldTree else {
            commit.addUnseen(page, oldTree: -1)
            return
        }
        let place = schema.map { $0.pairing.newTree[Int(oldTree)] } ?? TreeIndex(oldTree)
        if place == tree {
            // Its previous tree is needed again when a page below it moves.
            commit.detach(page, oldTree: oldTree)
        } else {
            commit.addUnseen(page, oldTree: oldTree)
            try detachChildren(of: page, oldTree: oldTree, &commit, before: before)
        }
    }

    /// The tree that a page was part of before the commit, as far as the remaining and the cut links tell.
    private func treeBefore(_ page: UInt32, _ commit: CommitPages) -> Int32? {
        var number = page
        for _ in 0...TreeWalk.maxHeight {
            if let index = commit.index(of: number) {
                let tree = commit.pages[index].oldTree
                return tree < 0 ? nil : tree
            }
            if let tree = commit.treeCutFrom(number) { return tree }
            let link = link(of: number)
            if link & Self.rootFlag != 0 { return Int32(link & ~Self.rootFlag) }
            guard link != 0 else { return nil }
            number = link
        }
        return nil
    }

    /// A page that the commit did not write must have belonged to the same table before; otherwise both tables must be
    /// compared as a whole.
    private func checkContinuity(
        of page: UInt32,
        in tree: TreeIndex,
        commit: inout CommitPages,
        schema: SchemaStep
    ) throws(WALDecodeError) {
        var number = page
        for _ in 0...TreeWalk.maxHeight {
            if let old = commit.treeCutFrom(number) {
                let newPlace = schema.pairing.newTree[Int(old)]
                guard newPlace != tree else { return }
                commit.rebuiltTrees.insert(tree)
                if let newPlace { commit.rebuiltTrees.insert(newPlace) }
                return
            }
            number = link(of: number)
            guard number != 0, number & Self.rootFlag == 0 else { break }
        }
        throw WALDecodeError(page: page, .unwrittenPageJoinedTree)
    }

    private mutating func collectFreed(
        _ commit: inout CommitPages,
        before: some PageReader
    ) throws(WALDecodeError) {
        var next = 0
        while next < commit.detached.count {
            let page = commit.detached[next]
            next += 1
            guard !commit.isWritten(page.number), link(of: page.number) == 0, commit.free(page) else { continue }
            try detachChildren(of: page.number, oldTree: page.oldTree, &commit, before: before)
        }
    }
}
