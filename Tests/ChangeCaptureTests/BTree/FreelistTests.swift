import ChangeCapture
import OracleSupport
import Testing

@Suite struct FreelistTests {
    @Test func `every free page is named once`() throws {
        let image = try Fixture.image("every-type.db")
        var pages: [UInt32] = []
        try Freelist.forEachPage(in: image) { (page) throws(WALDecodeError) in
            pages.append(page)
            return true
        }
        #expect(pages.count == Int(image.header.freelistPageCount))
        #expect(Set(pages).count == pages.count)
    }

    @Test func `the walk ends when no more is wanted`() throws {
        let image = try Fixture.image("every-type.db")
        var count = 0
        try Freelist.forEachPage(in: image) { (_) throws(WALDecodeError) in
            count += 1
            return count < 5
        }
        #expect(count == 5)
    }

    @Test func `a list that runs in a circle ends with an error`() throws {
        let image = try Fixture.image("every-type.db")
        var bytes = image.bytes
        let trunk = image.header.firstFreelistTrunk
        let start = Int(trunk - 1) * 512
        withUnsafeBytes(of: trunk.bigEndian) { bytes.replaceSubrange(start..<start + 4, with: $0) }
        let circle = try DatabaseImage(bytes)
        #expect(throws: WALDecodeError(page: trunk, .badFreelist)) {
            try Freelist.forEachPage(in: circle) { (_) throws(WALDecodeError) in true }
        }
    }
}
