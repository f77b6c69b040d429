/// Finds the b-tree page whose cell an overflow page belongs to.
///
/// SQLite can overwrite a value in place: then the commit writes overflow pages and not the leaf above them. A database
/// with `auto_vacuum` has a pointer map that tells the way up. For any other the way is noted here: made by walking the
/// whole database the first time it is needed, then kept up to date with little effort. What is noted is a hint; whoever
/// follows it makes sure that the page is part of the chain it leads to.
struct OverflowOwners {
    /// For each overflow page the one before it in the chain, or the b-tree page with the cell; else 0.
    private var previous = PageTable()
    /// Of the database as it was looked at last.
    private var pageCount: UInt32 = 0
    private(set) var isBuilt = false

    /// Walks all trees and all overflow chains.
    mutating func build(from reader: some PageReader, catalog: TreeCatalog) throws(WALDecodeError) {
        previous = PageTable()
        pageCount = reader.pageCount
        isBuilt = true
        let format = reader.format
        for tree in catalog.trees {
            let walk = try TreeWalk(root: tree.rootPage, in: reader)
            try walk.forEachPage(in: reader) { (number, _, level) throws(WALDecodeError) in
                // Interior pages of a table have no payload.
                guard level == 0 || tree.kind != .rowidTable else { return }
                try reader.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                    try page.forEachOverflowingCell { (cell, _) throws(WALDecodeError) in
                        var last = number
                        let chain = OverflowChain(cell, on: number)
                        try chain.forEachPage(in: reader) { (overflow, _) throws(WALDecodeError) in
                            previous[overflow] = last
                            last = overflow
                            return true
                        }
                    }
                }
            }
        }
    }

    /// Brings what is noted up to a commit: from the cells of the b-tree pages it wrote, and from the overflow pages.
    mutating func update(_ commit: CommitPages, in after: some PageReader) throws(WALDecodeError) {
        guard isBuilt else { return }
        pageCount = after.pageCount
        let format = after.format
        for written in commit.pages where written.number <= after.pageCount {
            if written.newTree >= 0 {
                try after.withTreePage(written.number, format: format) { (page) throws(WALDecodeError) in
                    try page.forEachOverflowingCell { (cell, _) throws(WALDecodeError) in
                        note(cell.overflowPage, after: written.number)
                    }
                }
            } else {
                let next = try after.withPage(written.number) { (bytes) throws(WALDecodeError) in
                    bytes.bigEndian32(at: 0)
                }
                note(next, after: written.number)
            }
        }
    }

    /// The b-tree page that the notes lead to.
    func treePage(above overflowPage: UInt32, map: PageMap) -> UInt32? {
        var number = overflowPage
        var cycle = CycleGuard(from: overflowPage)
        while true {
            number = previous[number]
            if number == 0 || cycle.isRepeated(number) { return nil }
            if map.contains(number) { return number }
        }
    }

    /// The b-tree page that the database's own pointer map leads to.
    static func treePage(
        above overflowPage: UInt32,
        pointerMap: PointerMap,
        in reader: some PageReader
    ) throws(WALDecodeError) -> UInt32? {
        var number = overflowPage
        var cycle = CycleGuard(from: overflowPage)
        while true {
            switch try pointerMap.entry(of: number, in: reader) {
            case .firstOverflow(let treePage): return treePage
            case .laterOverflow(let previous) where !cycle.isRepeated(previous): number = previous
            case .laterOverflow, .root, .free, .child: return nil
            }
        }
    }

    private mutating func note(_ page: UInt32, after last: UInt32) {
        if page > 0, page <= pageCount { previous[page] = last }
    }
}

extension BTreePage {
    /// Calls `body` with every cell that has overflow pages, and its index. Interior pages of a table have none.
    func forEachOverflowingCell(_ body: (Cell, Int) throws(WALDecodeError) -> Void) throws(WALDecodeError) {
        guard kind != .interiorTable else { return }
        for index in 0..<cellCount {
            let cell = try cell(at: index)
            if cell.overflowPage != 0 { try body(cell, index) }
        }
    }
}
