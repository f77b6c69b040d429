/// The 24 bytes before every page in a write-ahead log.
///
/// Source: [WAL Frame Header](https://sqlite.org/fileformat2.html#walformat).
package struct WALFrameHeader: Hashable, Sendable {
    package static let byteCount = 24

    package var pageNumber: UInt32
    /// For the last frame of a transaction the size of the database after it, in pages; else 0.
    package var pageCountAfterCommit: UInt32
    package var salt: WALSalt
    package var checksum: WALChecksum

    package var isCommit: Bool { pageCountAfterCommit != 0 }

    /// Parses the header; nil when there are fewer than 24 bytes.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        pageNumber = bytes.bigEndian32(at: 0)
        pageCountAfterCommit = bytes.bigEndian32(at: 4)
        salt = WALSalt(bytes, at: 8)
        checksum = WALChecksum(first: bytes.bigEndian32(at: 16), second: bytes.bigEndian32(at: 20))
    }
}
