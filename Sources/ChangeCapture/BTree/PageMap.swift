/// To which b-tree every page of a database belongs: for each page the page that refers to it.
///
/// Built once by reading interior pages only (a few milliseconds for a gigabyte), then kept up to date from the pages
/// that each commit changed. Four bytes for each page of a tree.
package struct PageMap: Sendable {
    /// A tree's place in ``TreeCatalog/trees``.
    package typealias TreeIndex = Int

    /// For each page: 0 for one of no tree, `rootFlag` and the tree for a root, else the parent.
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

    /// The tree that a page belongs to; nil for a page of no tree, such as one of an overflow chain or a free one.
    @inline(__always)
    package func tree(of page: UInt32) -> TreeIndex? {
        let root = top(from: page)
        return root & Self.rootFlag != 0 ? TreeIndex(root & ~Self.rootFlag) : nil
    }

    /// Whether the page is reached from a root.
    package func contains(_ page: UInt32) -> Bool { tree(of: page) != nil }

    /// The pages whose link is not the same in `other`: empty when both describe the same database.
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

// What keeping the map up to date needs: see PageMapUpdate.
extension PageMap {
    /// Whether a database of this size can be mapped.
    func check(pageCount: UInt32) throws(WALDecodeError) {
        // The bit that marks a root; a database of 2^31 pages would be a terabyte at the smallest page size.
        guard pageCount < Self.rootFlag else { throw WALDecodeError(page: pageCount, .pageOutOfRange) }
    }

    /// Calls `body` with every page of a tree from this number on.
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
