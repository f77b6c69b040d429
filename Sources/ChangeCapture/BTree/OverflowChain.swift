#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The pages that hold what does not fit into a cell.
///
/// Source: [Cell Payload Overflow Pages](https://sqlite.org/fileformat2.html#cell_payload_overflow_pages).
package struct OverflowChain: Hashable, Sendable {
    /// The b-tree page with the cell, to name in errors.
    package var owner: UInt32
    package var firstPage: UInt32
    /// The bytes of payload in the chain.
    package var byteCount: Int

    package init(_ cell: Cell, on owner: UInt32) {
        self.owner = owner
        firstPage = cell.overflowPage
        byteCount = cell.payloadLength - cell.localLength
    }

    /// Calls `body` with the number and the payload of every page of the chain in order, until it returns false.
    ///
    /// Ends on any bytes: a chain cannot have more pages than its payload needs, and none twice.
    package func forEachPage(
        in reader: some PageReader,
        _ body: (UInt32, UnsafeRawBufferPointer) throws(WALDecodeError) -> Bool
    ) throws(WALDecodeError) {
        let capacity = reader.usableSize - 4
        try check(capacity: capacity, pageCount: reader.pageCount)
        var remaining = byteCount
        var number = firstPage
        var cycle = CycleGuard(from: firstPage)
        while remaining > 0 {
            let length = min(remaining, capacity)
            let next = try follow(number, in: reader) { (bytes) throws(WALDecodeError) -> UInt32? in
                let payload = UnsafeRawBufferPointer(rebasing: bytes[4..<4 + length])
                return try body(number, payload) ? bytes.bigEndian32(at: 0) : nil
            }
            guard let next else { return }
            remaining -= length
            if remaining > 0, cycle.isRepeated(next) { throw WALDecodeError(page: owner, .badOverflowChain) }
            number = next
        }
    }

    /// Whether two chains of the same length hold the same bytes; compares page by page and keeps nothing.
    package static func haveEqualBytes(
        _ first: OverflowChain,
        in firstReader: some PageReader,
        _ second: OverflowChain,
        in secondReader: some PageReader
    ) throws(WALDecodeError) -> Bool {
        guard first.byteCount == second.byteCount else { return false }
        let capacity = firstReader.usableSize - 4
        try first.check(capacity: capacity, pageCount: firstReader.pageCount)
        try second.check(capacity: capacity, pageCount: secondReader.pageCount)
        var remaining = first.byteCount
        var numbers = (first.firstPage, second.firstPage)
        var cycle = CycleGuard(from: first.firstPage)
        while remaining > 0 {
            let length = min(remaining, capacity)
            let next = try first.follow(numbers.0, in: firstReader) {
                (one) throws(WALDecodeError) -> (UInt32, UInt32)? in
                try second.follow(numbers.1, in: secondReader) { (other) throws(WALDecodeError) -> (UInt32, UInt32)? in
                    guard bytesAreEqual(one, 4, other, 4, length) else { return nil }
                    return (one.bigEndian32(at: 0), other.bigEndian32(at: 0))
                }
            }
            guard let next else { return false }
            numbers = next
            remaining -= length
            if remaining > 0, cycle.isRepeated(next.0) { throw WALDecodeError(page: first.owner, .badOverflowChain) }
        }
        return true
    }

    /// A length that the whole database could not hold is a broken cell; found out before any page is read.
    private func check(capacity: Int, pageCount: UInt32) throws(WALDecodeError) {
        guard byteCount <= Int(pageCount) * capacity else {
            throw WALDecodeError(page: owner, .payloadTooLarge(UInt64(byteCount)))
        }
    }

    private func follow<R>(
        _ number: UInt32,
        in reader: some PageReader,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        guard number > 1, number <= reader.pageCount else { throw WALDecodeError(page: owner, .badOverflowChain) }
        return try reader.withPage(number, body)
    }
}

/// Whether `count` bytes at the two offsets are the same. The caller has checked the bounds.
@inline(__always)
func bytesAreEqual(
    _ first: UnsafeRawBufferPointer,
    _ firstOffset: Int,
    _ second: UnsafeRawBufferPointer,
    _ secondOffset: Int,
    _ count: Int
) -> Bool {
    guard count > 0, let first = first.baseAddress, let second = second.baseAddress else { return true }
    return memcmp(first + firstOffset, second + secondOffset, count) == 0
}
