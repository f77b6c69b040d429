import ChangeCapture
import Testing

@Suite struct WALHeaderTests {
    private func header(_ bytes: [UInt8]) throws -> WALHeader { try bytes.withUnsafeBytes { try WALHeader($0) } }

    @Test func `a header contains the page size, the generation and the frame offsets`() throws {
        let header = try header(Fixture.bytes("three-commits.db-wal"))
        #expect(header.pageSize == 512)
        #expect(header.checkpointSequence == 1)
        #expect(header.offset(ofFrame: 1) == 32)
        #expect(header.offset(ofFrame: 3) == 32 + 2 * 536)
    }

    @Test(arguments: [(0, "0x377f0682"), (5, "version"), (10, "page size"), (17, "checksum"), (28, "checksum")])
    func `a header that was tampered with is refused with what was expected`(_ offset: Int, _ expected: String) throws {
        var bytes = Fixture.bytes("three-commits.db-wal")
        bytes[offset] ^= 0x11
        let error = try #require(throws: WALDecodeError.self) { try header(bytes) }
        #expect(error.description.contains(expected))
    }

    @Test func `an empty log has no header`() {
        #expect(throws: WALDecodeError(page: 0, .badHeader("32 bytes"))) { try header([]) }
    }
}
