/// Bytes that only ever grow, until all of them are dropped at once: the records of one table in one transaction.
///
/// A block is a length followed by that many bytes, and is known by its offset. One allocation for all blocks keeps the
/// capture of a row free of the allocator.
struct ByteArena {
    private(set) var bytes: [UInt8] = []

    private static let prefixSize = MemoryLayout<UInt32>.size

    var count: Int { bytes.count }

    /// Adds a block of two parts and returns its offset. No row of SQLite is longer than 2 GB.
    mutating func append(_ head: UnsafeRawBufferPointer, _ tail: UnsafeRawBufferPointer) -> Int {
        let offset = bytes.count
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: head.count + tail.count)) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: head)
        bytes.append(contentsOf: tail)
        return offset
    }

    /// Puts a block in the place of another one where it fits, else adds it: a row that one transaction updates again and
    /// again should not fill the arena.
    mutating func replace(_ offset: Int, _ head: UnsafeRawBufferPointer, _ tail: UnsafeRawBufferPointer) -> Int {
        let range = range(at: offset)
        guard head.count + tail.count <= range.count else { return append(head, tail) }
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(
                of: UInt32(truncatingIfNeeded: head.count + tail.count),
                toByteOffset: offset,
                as: UInt32.self
            )
            let block = UnsafeMutableRawBufferPointer(rebasing: bytes[range])
            block.copyMemory(from: head)
            UnsafeMutableRawBufferPointer(rebasing: block[head.count...]).copyMemory(from: tail)
        }
        return offset
    }

    /// Where the block's bytes are.
    func range(at offset: Int) -> Range<Int> {
        let start = offset + Self.prefixSize
        let length = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
        return start..<start + Int(length)
    }

    func withBlock<R>(at offset: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let range = range(at: offset)
        return bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func areEqual(_ left: Int, _ right: Int) -> Bool {
        withBlock(at: left) { left in
            withBlock(at: right) { right in left.count == right.count && left.elementsEqual(right) }
        }
    }
}
