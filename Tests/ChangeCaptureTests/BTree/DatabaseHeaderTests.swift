import ChangeCapture
import OracleSupport
import Testing

@Suite struct DatabaseHeaderTests {
    private func header(_ bytes: [UInt8]) throws -> DatabaseHeader {
        try bytes.withUnsafeBytes { try DatabaseHeader($0) }
    }

    @Test func `the header contains sizes, encoding, freelist and whether there is a pointer map`() throws {
        let types = try header(Fixture.bytes("every-type.db"))
        #expect(types.pageSize == 512)
        #expect(types.usableSize == 512)
        #expect(types.encoding == .utf8)
        #expect(types.pageCount == 110)
        #expect(types.freelistPageCount == 40)
        #expect(!types.hasPointerMap)
        #expect(try header(Fixture.bytes("auto-vacuum.db")).hasPointerMap)
        #expect(try header(Fixture.bytes("utf16be.db")).encoding == .utf16BigEndian)
    }

    @Test func `a page size of 1 means 65,536`() throws {
        var bytes = Fixture.bytes("every-type.db")
        bytes[16] = 0
        bytes[17] = 1
        #expect(try header(bytes).pageSize == 65_536)
    }

    @Test(
        arguments: [
            (0, 0x54, "encrypted"), (16, 0x03, "page size"), (20, 100, "usable"), (59, 9, "encoding"),
        ] as [(Int, UInt8, String)]
    )
    func `a header that no database has is refused with what was expected`(
        _ offset: Int,
        _ byte: UInt8,
        _ expected: String
    ) throws {
        var bytes = Fixture.bytes("every-type.db")
        bytes[offset] = byte
        let error = try #require(throws: WALDecodeError.self) { try header(bytes) }
        #expect(error.description.contains(expected))
    }
}
