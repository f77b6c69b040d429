/// Reads records from a position on.
struct SegmentReading {
    private static let chunkBytes = 256 << 10

    let file: StateFile
    let number: UInt64
    /// Where the next record begins.
    var offset: Int
    let end: Int
    /// Bytes of the file from `start` on.
    private var bytes: [UInt8] = []
    private var start = 0

    init(file: StateFile, number: UInt64, offset: Int, end: Int) {
        self.file = file
        self.number = number
        self.offset = offset
        self.end = end
    }

    /// The next record and its offset; nil at the end, or when it cannot be read.
    mutating func next() -> (StateRecord, Int)? {
        var wanted = Self.chunkBytes
        while offset < end {
            if let (record, next) = SegmentFormat.record(bytes, at: offset - start, of: number) {
                defer { offset = start + next }
                return (record, offset)
            }
            // The record may reach beyond the bytes that were read.
            guard start != offset || bytes.count < min(wanted, end - offset) else {
                guard wanted < end - offset else { return nil }
                wanted *= 4
                continue
            }
            // An error of the system is reported like a damaged record: the transactions are not available.
            guard let read = try? file.read(at: offset, maxBytes: min(wanted, end - offset)) else { return nil }
            guard !read.isEmpty else { return nil }
            start = offset
            bytes = read
        }
        return nil
    }
}
