import ChangeCapture

/// Reads a write-ahead log only from its bytes, as SQLite does in recovery: up to the first frame whose salt or
/// checksum does not match.
///
/// For logs that no connection has open. While writers are active, the wal-index defines how far the log is committed,
/// and it is right where checksums are not: SQLite 3.40 and older can leave committed frames with a salt and a checksum
/// of zero.
struct WALFrameReader {
    /// A valid frame.
    struct Frame: Hashable, Sendable {
        /// The frame's number, from 1.
        var number: UInt32
        var header: WALFrameHeader
        /// The offset of the page's bytes in the log.
        var pageOffset: Int
    }

    let header: WALHeader
    private let bytes: UnsafeRawBufferPointer
    private var checksum: WALChecksum
    private var nextNumber: UInt32 = 1

    /// Borrows the bytes of the whole file.
    init(_ bytes: UnsafeRawBufferPointer) throws(WALDecodeError) {
        header = try WALHeader(bytes)
        self.bytes = bytes
        checksum = header.checksum
    }

    /// The next frame; nil after the last valid one.
    mutating func next() -> Frame? {
        let offset = header.offset(ofFrame: nextNumber)
        guard offset + header.frameByteCount <= bytes.count,
            let frame = WALFrameHeader(UnsafeRawBufferPointer(rebasing: bytes[offset...])),
            frame.salt == header.salt, frame.pageNumber != 0
        else { return nil }
        let pageOffset = offset + WALFrameHeader.byteCount
        checksum.add(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 8]), in: header.byteOrder)
        checksum.add(
            UnsafeRawBufferPointer(rebasing: bytes[pageOffset..<pageOffset + header.pageSize]),
            in: header.byteOrder
        )
        guard checksum == frame.checksum else { return nil }
        defer { nextNumber += 1 }
        return Frame(number: nextNumber, header: frame, pageOffset: pageOffset)
    }
}
