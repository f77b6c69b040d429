import ChangeCapture
import OracleSupport
import Testing

@Suite struct BTreePageTests {
    private let format = PageFormat(usableSize: 512)

    /// A leaf of a table with two cells, (5, 'ab') and (7, 'c').
    private var leaf: [UInt8] {
        var page = [UInt8](repeating: 0, count: 512)
        page.replaceSubrange(0..<12, with: [13, 0, 0, 0, 2, 1, 0xf0, 0, 1, 0xf8, 1, 0xf0])
        page.replaceSubrange(0x1f8..<0x1fe, with: [4, 5, 2, 0x11, 0x61, 0x62])
        page.replaceSubrange(0x1f0..<0x1f5, with: [3, 7, 2, 0x0f, 0x63])
        return page
    }

    private func page<R>(_ bytes: [UInt8], number: UInt32 = 2, _ body: (BTreePage) throws -> R) throws -> R {
        try bytes.withUnsafeBytes { try body(BTreePage($0, number: number, format: format)) }
    }

    @Test func `cells come in the order of the pointers, not of their bytes`() throws {
        try page(leaf) { page in
            #expect(page.kind == .leafTable)
            #expect(page.cellCount == 2)
            let cells = try (0..<2).map { try page.cell(at: $0) }
            #expect(cells.map(\.rowid) == [5, 7])
            #expect(cells.map { [UInt8](page.localPayload(of: $0)) } == [[2, 0x11, 0x61, 0x62], [2, 0x0f, 0x63]])
            #expect(try page.rowid(at: 1) == 7)
            #expect(cells.allSatisfy { $0.overflowPage == 0 })
        }
    }

    @Test func `page 1 begins behind the database header`() throws {
        let image = try Fixture.image("every-type.db")
        try image.withTreePage(1, format: image.format) { (page) throws(WALDecodeError) in
            #expect(page.kind == .interiorTable || page.kind == .leafTable)
            #expect(page.cellCount > 0)
        }
    }

    @Test(arguments: [0, 1, 3, 4, 6, 14, 255] as [UInt8])
    func `an invalid type byte is named in the error`(_ byte: UInt8) {
        var bytes = leaf
        bytes[0] = byte
        #expect(throws: WALDecodeError(page: 2, .unknownPageType(byte))) { try page(bytes) { _ in } }
    }

    @Test func `more cells than fit are refused`() {
        var bytes = leaf
        bytes[3] = 1
        #expect(throws: WALDecodeError(page: 2, .cellCountTooLarge(258))) { try page(bytes) { _ in } }
    }

    @Test(
        arguments: [
            (8, 0x00, "a pointer into the header"), (8, 0x02, "a pointer past the page"),
            (0x1f8, 0x20, "a payload past the page"),
        ] as [(Int, UInt8, String)]
    )
    func `a cell that is not within the page is refused`(_ offset: Int, _ byte: UInt8, _ what: String) {
        var bytes = leaf
        bytes[offset] = byte
        if what.contains("header") { bytes[9] = 4 }
        #expect(throws: WALDecodeError(page: 2, .badCell(0)), "\(what)") {
            try page(bytes) { try $0.cell(at: 0) }
        }
    }

    @Test func `a payload longer than SQLite's own limit is refused`() {
        var bytes = leaf
        bytes.replaceSubrange(0x1f0..<0x1fb, with: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7, 0])
        #expect(throws: WALDecodeError(page: 2, .payloadTooLarge(.max))) { try page(bytes) { try $0.cell(at: 1) } }
    }
}
