import ChangeCapture
import OracleSupport
import Testing

@Suite struct PointerMapTests {
    @Test func `pages of the map come at regular intervals`() {
        let map = PointerMap(pageSize: 512, usableSize: 512)
        #expect((1...320).filter { map.isPointerMapPage(UInt32($0)) } == [2, 105, 208, 311])
        #expect(map.mapPage(of: 104) == 2)
        #expect(map.mapPage(of: 106) == 105)
    }

    @Test func `the page where SQLite takes its locks is skipped`() {
        let map = PointerMap(pageSize: 1024, usableSize: 1024)
        #expect(map.lockPage == 1_048_577)
        // Reserves bytes until a page of the map would fall on it.
        let shifted = (480...65_536).lazy.map { PointerMap(pageSize: 65_536, usableSize: $0) }
            .first { $0.mapPage(of: $0.lockPage) == $0.lockPage + 1 }
        #expect(shifted?.isPointerMapPage(shifted?.lockPage ?? 0) == false)
    }

    @Test func `entries contain the tree page above a chain, and the parent of a page`() throws {
        let image = try Fixture.image("auto-vacuum.db")
        let map = PointerMap(pageSize: 512, usableSize: 512)
        #expect(try map.entry(of: 3, in: image) == .root)
        try TreeWalk(root: 3, in: image).forEachPage(in: image) { (number, parent, level) throws(WALDecodeError) in
            if parent != 0 { #expect(try map.entry(of: number, in: image) == .child(parent: parent)) }
            guard level == 0 else { return }
            try image.withTreePage(number, format: image.format) { (page) throws(WALDecodeError) in
                for index in 0..<page.cellCount {
                    let cell = try page.cell(at: index)
                    guard cell.overflowPage != 0 else { continue }
                    var expected = PointerMap.Entry.firstOverflow(treePage: number)
                    try OverflowChain(cell, on: number).forEachPage(in: image) { (overflow, _) throws(WALDecodeError) in
                        #expect(try map.entry(of: overflow, in: image) == expected)
                        expected = .laterOverflow(previous: overflow)
                        return true
                    }
                }
            }
        }
    }

    @Test func `an entry of no known type is an error at the map's page`() throws {
        var bytes = Fixture.bytes("auto-vacuum.db")
        bytes[512] = 9
        let image = try DatabaseImage(bytes)
        let map = PointerMap(pageSize: 512, usableSize: 512)
        #expect(throws: WALDecodeError(page: 2, .badPointerMapEntry(9))) { try map.entry(of: 3, in: image) }
    }
}
