/// One of the two equal copies of the header at the start of the wal-index, the `-shm` file: how far the log is committed.
///
/// In the byte order of the machine. A writer changes one copy after the other, so a reader that finds them different
/// reads again.
///
/// Source: [WAL-Index Header](https://sqlite.org/walformat.html).
package struct WALIndexHeader: Hashable, Sendable {
    package static let byteCount = 48
    /// The size of both copies together.
    package static let pairByteCount = 2 * byteCount

    /// Changes with every transaction.
    package var changeCounter: UInt32
    package var isInitialized: Bool
    package var byteOrder: WALChecksum.ByteOrder
    /// In bytes.
    package var pageSize: Int
    /// The number of valid and committed frames in the log.
    package var maxFrame: UInt32
    /// The size of the database in pages.
    package var pageCount: UInt32
    /// The checksum of the last frame.
    package var frameChecksum: WALChecksum
    package var salt: WALSalt

    /// Parses one copy; nil when there are too few bytes, when the version is unknown or when its checksum does not fit.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        func word(_ offset: Int) -> UInt32 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
        guard word(0) == WALHeader.version else { return nil }
        var expected = WALChecksum()
        expected.add(UnsafeRawBufferPointer(rebasing: bytes[..<40]), in: .native)
        guard expected == WALChecksum(first: word(40), second: word(44)) else { return nil }
        changeCounter = word(8)
        isInitialized = bytes[12] != 0
        byteOrder = bytes[13] != 0 ? .bigEndian : .littleEndian
        let size = Int(bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
        // 65,536 does not fit into 16 bits: it is stored as 1.
        pageSize = size & 0xfe00 | (size & 1) << 16
        maxFrame = word(16)
        pageCount = word(20)
        frameChecksum = WALChecksum(first: word(24), second: word(28))
        salt = WALSalt(bytes, at: 32)
    }

    /// Parses both copies; nil when they differ, because a writer is active or has died between them.
    package init?(pair bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.pairByteCount,
            bytesAreEqual(bytes, 0, bytes, Self.byteCount, Self.byteCount)
        else { return nil }
        self.init(UnsafeRawBufferPointer(rebasing: bytes[..<Self.byteCount]))
    }
}
