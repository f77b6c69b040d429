#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The pages with the part of a payload that does not fit into its cell.
///
/// Source: [Cell Payload Overflow Pages](https://sqlite.org/fileformat2.html#cell_payload_overflow_pages).
package struct OverflowChain: Hashable, Sendable {
    /// The b-tree page with the cell; errors name it.
    package var owner: UInt32
    package var firstPage: UInt32
    /// The bytes of payload in the chain.
    package var byteCount: Int

    package init(_ cell: Cell, on owner: UInt32) {
        self.owner = owner
        firstPage = cell.overflowPage
        byteCount = cell.payloadLength - cell.localLength
    }

    /// Calls `body` with the number and the payload of every page of the chain in order, until it returns false.
    ///
    /// Ends on any bytes: a chain cannot have more pages than its payload needs, and no page twice.
    package func forEachPage(
        in reader: some PageReader,
        _ body: (UInt32, UnsafeRawBufferPointer) throws(WALDecodeError) -> Bool
    ) throws(WALDecodeError) {
        let capacity = reader.usableSize - 4
        try check(capacity: capacity, pageCount: reader.pageCount)
        var remaining = byteCount
        var number = firstPage
        var cycle = CycleGuard(from: firstPage)
        while remaining > 0 {
            let length = min(remaining, capacity)
            let next = try follow(number, in: reader) { (bytes) throws(WALDecodeError) -> UInt32? in
                let payload = UnsafeRawBufferPointer(rebasing: bytes[4..<4 + length])
                return try body(number, payload) ? bytes.bigEndian32(at: 0) : nil
            }
            guard let next else { return }
            remaining -= length
            if remaining > 0, cycle.isRepeated(next) { throw WALDecodeError(page: owner, .badOverflowChain) }
            number = next
        }
    }

    /// Whether two chains of the same length hold the same bytes; compares page by page and keeps no page.
    package static func haveEqualBytes(
        _ first: OverflowChain,
        in firstReader: some PageReader,
        _ second: OverflowChain,
        in secondReader: some PageReader
    ) throws(WALDecodeError) -> Bool {
        guard first.byteCount == second.byteCount else { return false }
        let capacity = firstReader.usableSize - 4
        try first.check(capacity: capacity, pageCount: firstReader.pageCount)
        try second.check(capacity: capacity, pageCount: secondReader.pageCount)
        var remaining = first.byteCount
        var numbers = (first.firstPage, second.firstPage)
        var cycle = CycleGuard(from: first.firstPage)
        while remaining > 0 {
            let length = min(remaining, capacity)
            let next = try first.follow(numbers.0, in: firstReader) {
                (one) throws(WALDecodeError) -> (UInt32, UInt32)? in
                try second.follow(numbers.1, in: secondReader) { (other) throws(WALDecodeError) -> (UInt32, UInt32)? in
                    guard bytesAreEqual(one, 4, other, 4, length) else { return nil }
                    return (one.bigEndian32(at: 0), other.bigEndian32(at: 0))
                }
            }
            guard let next else { return false }
            numbers = next
            remaining -= length
            if remaining > 0, cycle.isRepeated(next.0) { throw WALDecodeError(page: first.owner, .badOverflowChain) }
        }
        return true
    }

    /// A length that exceeds the whole database is a broken cell; detected before any page is read.
    private func check(capacity: Int, pageCount: UInt32) throws(WALDecodeError) {
        guard byteCount <= Int(pageCount) * capacity else {
            throw WALDecodeError(page: owner, .payloadTooLarge(UInt64(byteCount)))
        }
    }

    private func follow<R>(
        _ number: UInt32,
        in reader: some PageReader,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        guard number > 1, number <= reader.pageCount else { throw WALDecodeError(page: owner, .badOverflowChain) }
        return try reader.withPage(number, body)
    }
}

/// Whether `count` bytes at the two offsets are the same. The caller has checked the bounds.
@inline(__always)
func bytesAreEqual(
    _ first: UnsafeRawBufferPointer,
    _ firstOffset: Int,
    _ second: UnsafeRawBufferPointer,
    _ secondOffset: Int,
    _ count: Int
) -> Bool {
    guard count > 0, let first = first.baseAddress, let second = second.baseAddress else { return true }
    return memcmp(first + firstOffset, second + secondOffset, count) == 0
}

/// Finds the b-tree page whose cell an overflow page belongs to.
///
/// SQLite can overwrite a value in place: then the commit writes overflow pages and not the leaf above them. A database
/// with `auto_vacuum` has a pointer map that leads to the b-tree page. For any other database this type keeps the
/// links: built by walking the whole database the first time it is needed, then updated with little effort. The links
/// are hints; the caller verifies that the page is part of the chain that a link leads to.
struct OverflowOwners {
    /// For each overflow page the one before it in the chain, or the b-tree page with the cell; else 0.
    private var previous = PageTable()
    /// The size of the database at the last update.
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

    /// Updates the links to a commit: from the cells of the b-tree pages it wrote, and from the overflow pages.
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

    /// The b-tree page that the links lead to.
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

extension CommitPages {
    /// Marks the pages that were in no tree before the commit and are in none after it, once these are known.
    mutating func noteUnexplained(pageCount: UInt32, pointerMap: PointerMap?) {
        for index in pages.indices where pages[index].oldTree < 0 && pages[index].newTree < 0 {
            let number = pages[index].number
            guard number <= pageCount, pointerMap?.isPointerMapPage(number) != true else { continue }
            pages[index].isUnexplained = true
            unexplainedCount += 1
        }
    }
}

/// Finds the rows of which the commit changed only overflow pages.
///
/// A page that is still unexplained after the tables were compared is a free page, or part of the chain of a cell that
/// is equal on both sides: on a page that the commit wrote, or on one that it did not.
extension TableComparison {
    func explainRest(
        _ emitter: inout RowEmitter,
        _ map: PageMap,
        _ pointerMap: PointerMap?,
        _ owners: inout OverflowOwners,
        _ statistics: inout CommitDecoder.Statistics,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let suspects = emitter.takeSuspects()
        guard emitter.commit.unexplainedCount > 0 else { return }
        try Freelist.forEachPage(in: after) { (page) throws(WALDecodeError) in
            emitter.commit.explain(page)
            return emitter.commit.unexplainedCount > 0
        }
        try compareSuspects(suspects, &emitter, &sink)
        try explainWrittenTrees(&emitter)
        guard emitter.commit.unexplainedCount > 0 else { return }
        if let pointerMap {
            try compareOwners(&emitter, map, &sink) { (page) throws(WALDecodeError) in
                try OverflowOwners.treePage(above: page, pointerMap: pointerMap, in: after)
            }
        } else {
            if owners.isBuilt {
                try compareOwners(&emitter, map, &sink) { (page) throws(WALDecodeError) in
                    owners.treePage(above: page, map: map)
                }
            }
            // The links can be out of date or not built yet.
            if emitter.commit.unexplainedCount > 0 {
                statistics.overflowScans += 1
                try owners.build(from: after, catalog: newCatalog)
                try compareOwners(&emitter, map, &sink) { (page) throws(WALDecodeError) in
                    owners.treePage(above: page, map: map)
                }
            }
        }
        statistics.unexplainedPages += emitter.commit.unexplainedCount
    }

    private func compareSuspects(
        _ suspects: [RowEmitter.Suspect],
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let format = after.format
        for suspect in suspects where emitter.commit.unexplainedCount > 0 {
            guard let step = step(for: Int(suspect.tree)) else { continue }
            try after.withTreePage(suspect.page, format: format) { (page) throws(WALDecodeError) in
                let cell = try page.cell(at: Int(suspect.cell))
                try emitter.compareChains(of: cell, on: page, before: before, after: after, step, &sink)
            }
        }
    }

    /// Handles chains of trees that are not reported, and of rows whose values the sink does not want.
    private func explainWrittenTrees(_ emitter: inout RowEmitter) throws(WALDecodeError) {
        let format = after.format
        for index in emitter.commit.pages.indices {
            guard emitter.commit.unexplainedCount > 0 else { return }
            guard emitter.commit.pages[index].newTree >= 0 else { continue }
            let number = emitter.commit.pages[index].number
            try after.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                try page.forEachOverflowingCell { (cell, _) throws(WALDecodeError) in
                    _ = try emitter.explain(OverflowChain(cell, on: number), in: after)
                }
            }
        }
    }

    /// Checks the pages that own the unexplained pages, as far as `owner` knows them.
    private func compareOwners(
        _ emitter: inout RowEmitter,
        _ map: PageMap,
        _ sink: inout some RowSink,
        owner: (UInt32) throws(WALDecodeError) -> UInt32?
    ) throws(WALDecodeError) {
        var treePages: Set<UInt32> = []
        for page in emitter.commit.pages where page.isUnexplained {
            if let treePage = try owner(page.number) { treePages.insert(treePage) }
        }
        let format = after.format
        for number in treePages.sorted() {
            guard let tree = map.tree(of: number) else { continue }
            // A page that the commit wrote has been compared already.
            let step = emitter.commit.isWritten(number) ? nil : step(for: tree)
            try after.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                try page.forEachOverflowingCell { (cell, _) throws(WALDecodeError) in
                    if let step {
                        try emitter.compareChains(of: cell, on: page, before: before, after: after, step, &sink)
                    } else {
                        _ = try emitter.explain(OverflowChain(cell, on: number), in: after)
                    }
                }
            }
        }
    }
}
