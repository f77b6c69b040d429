/// Consecutive committed frames of the log, read with one call of the system: a commit of one row has one or two.
struct FrameRun: ~Copyable {
    /// About as much as is read at once.
    private static let byteCount = 64 << 10

    /// In frames.
    let capacity: Int
    private let frameByteCount: Int
    private let buffer: UnsafeMutableRawBufferPointer
    private var first: UInt32 = 1
    private var count = 0

    init(pageSize: Int) {
        frameByteCount = pageSize + WALFrameHeader.byteCount
        capacity = max(1, Self.byteCount / frameByteCount)
        buffer = .allocate(byteCount: capacity * frameByteCount, alignment: 16)
    }

    deinit { buffer.deallocate() }

    func offset(ofFrame frame: UInt32) -> Int64 {
        Int64(WALHeader.byteCount) + Int64(frame - 1) * Int64(frameByteCount)
    }

    /// The room for as many of the frames as fit, in place of those before; follow it with ``end(byteCount:)``.
    mutating func begin(_ frames: ClosedRange<UInt32>) -> UnsafeMutableRawBufferPointer {
        count = 0
        first = frames.lowerBound
        return UnsafeMutableRawBufferPointer(rebasing: buffer[..<(min(frames.count, capacity) * frameByteCount)])
    }

    /// So many bytes were read. A frame that is cut off is left out.
    mutating func end(byteCount: Int) { count = byteCount / frameByteCount }

    mutating func removeAll() { count = 0 }

    @inline(__always)
    func contains(_ frame: UInt32) -> Bool { frame >= first && Int(frame - first) < count }

    /// Passes the header and the page of a frame; nil when it was not read.
    @inline(__always)
    func withFrame<Result>(_ frame: UInt32, _ body: (UnsafeRawBufferPointer) -> Result?) -> Result? {
        guard contains(frame) else { return nil }
        let start = Int(frame - first) * frameByteCount
        return body(UnsafeRawBufferPointer(rebasing: buffer[start..<start + frameByteCount]))
    }
}
