import ChangeCapture
import Testing

@Suite struct WALIndexHeaderTests {
    private let bytes = Fixture.bytes("three-commits.db-shm")

    @Test func `the wal-index contains how far the log is committed`() throws {
        let header = try #require(bytes.withUnsafeBytes { WALIndexHeader(pair: $0) })
        #expect(header.isInitialized)
        #expect(header.pageSize == 512)
        #expect(header.maxFrame == 6)
        #expect(header.pageCount == 3)
        #expect(header.byteOrder == .littleEndian)
        let log = Fixture.bytes("three-commits.db-wal")
        try log.withUnsafeBytes { log in
            var reader = try WALFrameReader(log)
            #expect(header.salt == reader.header.salt)
            var last: WALFrameHeader?
            while let frame = reader.next() { last = frame.header }
            #expect(header.frameChecksum == last?.checksum)
        }
    }

    @Test func `copies that differ are not a header`() {
        var torn = bytes
        torn[16] ^= 1
        #expect(torn.withUnsafeBytes { WALIndexHeader(pair: $0) } == nil)
    }

    @Test func `copies that are equal and wrong are not a header`() {
        var wrong = bytes
        wrong[16] ^= 1
        wrong[48 + 16] ^= 1
        #expect(wrong.withUnsafeBytes { WALIndexHeader(pair: $0) } == nil)
    }

    @Test func `a page size of 65,536 comes back in whole`() throws {
        var bytes = Array(bytes.prefix(48))
        bytes[14] = 1
        bytes[15] = 0
        var checksum = WALChecksum()
        bytes.withUnsafeBytes { checksum.add(UnsafeRawBufferPointer(rebasing: $0[..<40]), in: .native) }
        withUnsafeBytes(of: checksum.first) { bytes.replaceSubrange(40..<44, with: $0) }
        withUnsafeBytes(of: checksum.second) { bytes.replaceSubrange(44..<48, with: $0) }
        let header = try #require(bytes.withUnsafeBytes { WALIndexHeader($0) })
        #expect(header.pageSize == 65_536)
    }
}
