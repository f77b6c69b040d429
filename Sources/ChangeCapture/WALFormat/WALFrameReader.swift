/// Reads a write-ahead log from its bytes alone, as SQLite does when it recovers one: up to the first frame whose salt or
/// checksum does not fit.
///
/// For logs that nobody has open. While writers are about, the wal-index says how far the log is committed, and it is right
/// where checksums are not: SQLite 3.40 and older can leave committed frames with a salt and a checksum of zero.
package struct WALFrameReader {
    /// A frame that was found valid.
    package struct Frame: Hashable, Sendable {
        /// From 1.
        package var number: UInt32
        package var header: WALFrameHeader
        /// The offset of the page's bytes in the log.
        package var pageOffset: Int
    }

    package let header: WALHeader
    private let bytes: UnsafeRawBufferPointer
    private var checksum: WALChecksum
    private var nextNumber: UInt32 = 1

    /// Borrows the bytes of the whole file.
    package init(_ bytes: UnsafeRawBufferPointer) throws(WALDecodeError) {
        header = try WALHeader(bytes)
        self.bytes = bytes
        checksum = header.checksum
    }

    /// The next frame; nil behind the last valid one.
    package mutating func next() -> Frame? {
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
