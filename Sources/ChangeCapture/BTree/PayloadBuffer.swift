/// Memory in which a payload that overflows its page is put together; reused from cell to cell.
package final class PayloadBuffer {
    /// A buffer that had to grow past this many bytes is let go after use.
    private static let maxKeptBytes = 1 << 20

    private var storage: UnsafeMutableRawBufferPointer

    package init() { storage = .allocate(byteCount: 0, alignment: 1) }

    deinit { storage.deallocate() }

    /// The whole payload of `cell`: on the page itself where it fits, else copied into this buffer, to be used before the
    /// next call and while the page is lent.
    ///
    /// Calls `visit` with the number of every overflow page.
    @inline(__always)
    package func payload(
        of cell: Cell,
        on page: BTreePage,
        in reader: some PageReader,
        visit: (UInt32) -> Void
    ) throws(WALDecodeError) -> UnsafeRawBufferPointer {
        cell.overflowPage == 0
            ? page.localPayload(of: cell) : try assemble(cell, on: page, in: reader, visit: visit)
    }

    private func assemble(
        _ cell: Cell,
        on page: BTreePage,
        in reader: some PageReader,
        visit: (UInt32) -> Void
    ) throws(WALDecodeError) -> UnsafeRawBufferPointer {
        // A broken length is found out by the chain before this grows: first only what is certain is copied.
        var filled = 0
        func append(_ bytes: UnsafeRawBufferPointer) {
            reserve(filled + bytes.count, keeping: filled, total: cell.payloadLength)
            UnsafeMutableRawBufferPointer(rebasing: storage[filled...]).copyMemory(from: bytes)
            filled += bytes.count
        }
        if storage.count > Self.maxKeptBytes, cell.payloadLength <= Self.maxKeptBytes {
            storage.deallocate()
            storage = .allocate(byteCount: 0, alignment: 1)
        }
        append(page.localPayload(of: cell))
        try OverflowChain(cell, on: page.number).forEachPage(in: reader) { (number, bytes) throws(WALDecodeError) in
            visit(number)
            append(bytes)
            return true
        }
        return UnsafeRawBufferPointer(rebasing: storage[..<filled])
    }

    private func reserve(_ count: Int, keeping kept: Int, total: Int) {
        guard count > storage.count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(max(count, 2 * storage.count, 4096), max(count, total)),
            alignment: 1
        )
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<kept]))
        storage.deallocate()
        storage = larger
    }
}
