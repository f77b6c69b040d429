/// The 32 bytes at the start of a `-wal` file.
///
/// Source: [WAL Header](https://sqlite.org/fileformat2.html#walformat).
package struct WALHeader: Hashable, Sendable {
    package static let byteCount = 32
    /// The only version there is.
    package static let version: UInt32 = 3_007_000

    package var byteOrder: WALChecksum.ByteOrder
    /// In bytes.
    package var pageSize: Int
    /// Counts the restarts of the log.
    package var checkpointSequence: UInt32
    package var salt: WALSalt
    /// Where the frames' running checksum starts.
    package var checksum: WALChecksum

    /// Parses and checks a header. A log that was just created, or truncated, has none yet.
    package init(_ bytes: UnsafeRawBufferPointer) throws(WALDecodeError) {
        guard bytes.count >= Self.byteCount else { throw WALDecodeError(page: 0, .badHeader("32 bytes")) }
        switch bytes.bigEndian32(at: 0) {
        case 0x377f_0682: byteOrder = .littleEndian
        case 0x377f_0683: byteOrder = .bigEndian
        default: throw WALDecodeError(page: 0, .badHeader("0x377f0682 or 0x377f0683 at its start"))
        }
        guard bytes.bigEndian32(at: 4) == Self.version else {
            throw WALDecodeError(page: 0, .badHeader("version 3007000"))
        }
        let size = bytes.bigEndian32(at: 8)
        guard size >= 512, size <= 65_536, size & (size - 1) == 0 else {
            throw WALDecodeError(page: 0, .badHeader("a page size that is a power of two from 512 to 65536"))
        }
        pageSize = Int(size)
        checkpointSequence = bytes.bigEndian32(at: 12)
        salt = WALSalt(bytes, at: 16)
        checksum = WALChecksum(first: bytes.bigEndian32(at: 24), second: bytes.bigEndian32(at: 28))
        var expected = WALChecksum()
        expected.add(UnsafeRawBufferPointer(rebasing: bytes[..<24]), in: byteOrder)
        guard checksum == expected else { throw WALDecodeError(page: 0, .badHeader("a checksum that fits")) }
    }

    /// The bytes of a frame: its header and a page.
    package var frameByteCount: Int { WALFrameHeader.byteCount + pageSize }

    /// The offset in the file of a frame, numbered from 1.
    package func offset(ofFrame number: UInt32) -> Int {
        Self.byteCount + (Int(number) - 1) * frameByteCount
    }
}
