import ChangeCapture
import OracleSupport
import Testing

@Suite struct TreeWalkTests {
    private let roots: [UInt32] = [1, 3, 4]

    @Test func `leaves come from left to right, parents before their children`() throws {
        let image = try Fixture.image("auto-vacuum.db")
        let walk = try TreeWalk(root: 4, in: image)
        #expect(walk.height > 0)
        var seen: Set<UInt32> = [0]
        var rowids: [Int64] = []
        try walk.forEachPage(in: image) { (number, parent, level) throws(WALDecodeError) in
            #expect(seen.contains(parent))
            seen.insert(number)
            guard level == 0 else { return }
            try image.withTreePage(number, format: image.format) { (page) throws(WALDecodeError) in
                for index in 0..<page.cellCount { rowids.append(try page.rowid(at: index)) }
            }
        }
        #expect(rowids == (1...2000).map { $0 })
    }

    @Test func `a tree whose root is its own child ends with an error`() throws {
        var bytes = Fixture.bytes("auto-vacuum.db")
        let root = 3 * 512
        let firstCell = root + Int(bytes[root + 12]) * 256 + Int(bytes[root + 13])
        withUnsafeBytes(of: UInt32(4).bigEndian) { bytes.replaceSubrange(firstCell..<firstCell + 4, with: $0) }
        let image = try DatabaseImage(bytes)
        #expect(throws: WALDecodeError(page: 4, .treeTooDeep)) {
            try TreeWalk(root: 4, in: image).forEachPage(in: image) { (_, _, _) throws(WALDecodeError) in }
        }
    }

    @Test func `every page of a sound database is in a tree, a chain, the freelist or the pointer map`() throws {
        let image = try Fixture.image("auto-vacuum.db")
        var pages: Set<UInt32> = []
        for root in roots {
            try TreeWalk(root: root, in: image).forEachPage(in: image) { (number, _, level) throws(WALDecodeError) in
                #expect(pages.insert(number).inserted)
                guard level == 0 else { return }
                try image.withTreePage(number, format: image.format) { (page) throws(WALDecodeError) in
                    for index in 0..<page.cellCount {
                        let cell = try page.cell(at: index)
                        guard cell.overflowPage != 0 else { continue }
                        try OverflowChain(cell, on: number).forEachPage(in: image) { (page, _) throws(WALDecodeError) in
                            #expect(pages.insert(page).inserted)
                            return true
                        }
                    }
                }
            }
        }
        try Freelist.forEachPage(in: image) { (page) throws(WALDecodeError) in
            #expect(pages.insert(page).inserted)
            return true
        }
        let map = PointerMap(pageSize: 512, usableSize: 512)
        for page in 1...image.pageCount where map.isPointerMapPage(page) { #expect(pages.insert(page).inserted) }
        #expect(pages == Set(1...image.pageCount))
    }
}
