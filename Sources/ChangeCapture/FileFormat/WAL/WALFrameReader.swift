/// Reads a write-ahead log only from its bytes, as SQLite does in recovery: up to the first frame whose salt or
/// checksum does not match.
///
/// For logs that no connection has open. While writers are active, the wal-index defines how far the log is committed,
/// and it is right where checksums are not: SQLite 3.40 and older can leave committed frames with a salt and a checksum
/// of zero.
package struct WALFrameReader {
    /// A valid frame.
    package struct Frame: Hashable, Sendable {
        /// The frame's number, from 1.
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

    /// The next frame; nil after the last valid one.
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

/// For each page the frames of the write-ahead log that hold it, in the current generation of the log.
///
/// A generation is the time between two restarts of the log. Frames before ``firstFrame`` are not indexed, because all of
/// them are known to be in the database file.
struct FrameIndex {
    /// The number of the first frame that the index covers; frames are numbered from 1.
    private(set) var firstFrame: UInt32 = 1
    /// For each page its last frame; 0 for none.
    private var lastFrame = PageTable()
    /// For each frame the one before it of the same page, and its page.
    private var previous: [UInt32] = []
    private var page: [UInt32] = []

    /// The number of the next frame.
    var nextFrame: UInt32 { firstFrame + UInt32(page.count) }

    mutating func append(page number: UInt32) {
        let frame = nextFrame
        previous.append(lastFrame[number])
        page.append(number)
        lastFrame[number] = frame
    }

    /// The newest frame of a page that is not after `limit`; nil when the page is as in the database file.
    @inline(__always)
    func frame(of number: UInt32, upTo limit: UInt32) -> UInt32? {
        var frame = lastFrame[number]
        while frame > limit { frame = previous[Int(frame - firstFrame)] }
        return frame == 0 ? nil : frame
    }

    /// Removes all frames; the next one appended has the given number.
    mutating func removeAll(next frame: UInt32) {
        for number in page { lastFrame[number] = 0 }
        page.removeAll(keepingCapacity: page.count < 1 << 16)
        previous.removeAll(keepingCapacity: previous.count < 1 << 16)
        firstFrame = frame
    }
}
