import ChangeCapture
import OracleSupport
import Testing

@Suite struct OverflowChainTests {
    /// The cell of the row with the blob of 3,000 bytes, and its page.
    private func longCell(in image: DatabaseImage) throws -> (Cell, UInt32) {
        var found: (Cell, UInt32)?
        try TreeWalk(root: 2, in: image).forEachPage(in: image) { (number, _, level) throws(WALDecodeError) in
            guard level == 0 else { return }
            try image.withTreePage(number, format: image.format) { (page) throws(WALDecodeError) in
                for index in 0..<page.cellCount {
                    let cell = try page.cell(at: index)
                    if cell.rowid == 109 { found = (cell, number) }
                }
            }
        }
        return try #require(found)
    }

    @Test func `a chain gives all bytes that are not in the cell`() throws {
        let image = try Fixture.image("every-type.db")
        let (cell, owner) = try longCell(in: image)
        var lengths: [Int] = []
        try OverflowChain(cell, on: owner).forEachPage(in: image) { (_, bytes) throws(WALDecodeError) in
            lengths.append(bytes.count)
            return true
        }
        #expect(lengths.reduce(cell.localLength, +) == cell.payloadLength)
        #expect(lengths.dropLast().allSatisfy { $0 == 508 })
    }

    @Test func `chains are compared by their bytes, wherever they are`() throws {
        let image = try Fixture.image("every-type.db")
        let (cell, owner) = try longCell(in: image)
        let chain = OverflowChain(cell, on: owner)
        #expect(try OverflowChain.haveEqualBytes(chain, in: image, chain, in: image))
        var bytes = image.bytes
        bytes[Int(cell.overflowPage - 1) * 512 + 200] ^= 1
        let changed = try DatabaseImage(bytes)
        #expect(try !OverflowChain.haveEqualBytes(chain, in: image, chain, in: changed))
    }

    @Test func `a chain that leaves the database is an error at its owner`() throws {
        let image = try Fixture.image("every-type.db")
        let (cell, owner) = try longCell(in: image)
        var bytes = image.bytes
        bytes[Int(cell.overflowPage - 1) * 512] = 0x40
        let broken = try DatabaseImage(bytes)
        #expect(throws: WALDecodeError(page: owner, .badOverflowChain)) {
            try OverflowChain(cell, on: owner).forEachPage(in: broken) { (_, _) throws(WALDecodeError) in true }
        }
    }

    @Test func `a chain that runs in a circle ends with an error`() throws {
        let image = try Fixture.image("every-type.db")
        var (cell, owner) = try longCell(in: image)
        var bytes = image.bytes
        let start = Int(cell.overflowPage - 1) * 512
        withUnsafeBytes(of: cell.overflowPage.bigEndian) { bytes.replaceSubrange(start..<start + 4, with: $0) }
        cell.payloadLength = 50_000
        let circle = try DatabaseImage(bytes)
        var count = 0
        #expect(throws: WALDecodeError(page: owner, .badOverflowChain)) {
            try OverflowChain(cell, on: owner).forEachPage(in: circle) { (_, _) throws(WALDecodeError) in
                count += 1
                return true
            }
        }
        #expect(count < 5)
    }

    @Test func `a payload longer than the database is refused before a page is read`() throws {
        let image = try Fixture.image("every-type.db")
        var (cell, owner) = try longCell(in: image)
        cell.payloadLength = 2_000_000_000
        let error = try #require(throws: WALDecodeError.self) {
            try OverflowChain(cell, on: owner).forEachPage(in: image) { (_, _) throws(WALDecodeError) in true }
        }
        #expect(error == WALDecodeError(page: owner, .payloadTooLarge(UInt64(2_000_000_000 - cell.localLength))))
    }
}
