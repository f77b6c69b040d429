/// To which b-tree every page of a database belongs: for each page the page that refers to it.
///
/// Built once by reading interior pages only (a few milliseconds for a gigabyte), then kept up to date from the pages
/// that each commit changed. Four bytes a page.
package struct PageMap: Sendable {
    /// A tree's place in ``TreeCatalog/trees``.
    package typealias TreeIndex = Int

    /// Indexed by page number: 0 for a page of no tree, `rootFlag` and the tree for a root, else the parent.
    private(set) var links: [UInt32]
    static let rootFlag: UInt32 = 1 << 31

    /// Walks the interior pages of every tree.
    package static func build(from reader: some PageReader, catalog: TreeCatalog) throws(WALDecodeError) -> PageMap {
        var map = PageMap(links: [0])
        // An empty file is a database without any page.
        guard reader.pageCount > 0 else { return map }
        try map.grow(toPageCount: reader.pageCount)
        for (index, tree) in catalog.trees.enumerated() {
            try map.setRoot(tree.rootPage, tree: index, pageCount: reader.pageCount)
            let walk = try TreeWalk(root: tree.rootPage, in: reader)
            try walk.forEachPage(in: reader) { (page, parent, _) throws(WALDecodeError) in
                guard parent != 0 else { return }
                guard map.links[Int(page)] == 0 else { throw WALDecodeError(page: page, .pageInTwoPlaces) }
                map.links[Int(page)] = parent
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
        (0..<max(links.count, other.links.count)).compactMap { page in
            let link = page < links.count ? links[page] : 0
            let otherLink = page < other.links.count ? other.links[page] : 0
            return link == otherLink ? nil : UInt32(page)
        }
    }

    /// The flagged root link above the page, or 0.
    @inline(__always)
    private func top(from page: UInt32) -> UInt32 {
        var number = page
        for _ in 0...TreeWalk.maxHeight {
            guard number != 0, Int(number) < links.count else { return 0 }
            let link = links[Int(number)]
            if link & Self.rootFlag != 0 { return link }
            number = link
        }
        return 0
    }
}

// What keeping the map up to date needs: see PageMapUpdate.
extension PageMap {
    /// Makes room for a database of this size. Links of new pages are 0.
    mutating func grow(toPageCount pageCount: UInt32) throws(WALDecodeError) {
        // The bit that marks a root; a database of 2^31 pages would be a terabyte at the smallest page size.
        guard pageCount < Self.rootFlag else { throw WALDecodeError(page: pageCount, .pageOutOfRange) }
        let missing = Int(pageCount) + 1 - links.count
        if missing > 0 { links.append(contentsOf: repeatElement(0, count: missing)) }
    }

    @inline(__always)
    func link(of page: UInt32) -> UInt32 { Int(page) < links.count ? links[Int(page)] : 0 }

    @inline(__always)
    mutating func setLink(of page: UInt32, to link: UInt32) { links[Int(page)] = link }

    mutating func setRoot(_ page: UInt32, tree: TreeIndex, pageCount: UInt32) throws(WALDecodeError) {
        guard page > 0, page <= pageCount else { throw WALDecodeError(page: page, .pageOutOfRange) }
        guard links[Int(page)] == 0 else { throw WALDecodeError(page: page, .pageInTwoPlaces) }
        links[Int(page)] = Self.rootFlag | UInt32(tree)
    }
}
