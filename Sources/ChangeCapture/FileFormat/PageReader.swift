/// A view of every page of a database as of one commit.
///
/// A reader never changes while a commit is decoded: the same number returns the same bytes. It is used by one thread
/// at a time and need not be `Sendable`.
package protocol PageReader {
    /// The size of a page in bytes, a power of two from 512 to 65,536.
    var pageSize: Int { get }
    /// The bytes of a page that the b-trees use: ``pageSize`` minus the bytes reserved at its end.
    var usableSize: Int { get }
    /// The size of the database in pages; pages are numbered from 1.
    var pageCount: UInt32 { get }

    /// Calls `body` with the page's ``pageSize`` bytes, which are valid only within the call.
    ///
    /// Calls nest: two pages of one reader can be borrowed at once, so a cache must not recycle a borrowed page. Throws
    /// ``WALDecodeError/Problem/pageOutOfRange`` for a number outside `1...pageCount`, and
    /// ``WALDecodeError/Problem/unreadable(_:)`` when the bytes cannot be read.
    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R
}

extension PageReader {
    /// Whether a page is equal in another reader. A page that only one of them has is not equal.
    func isPage(_ number: UInt32, equalIn other: some PageReader) throws(WALDecodeError) -> Bool {
        guard number <= pageCount, number <= other.pageCount else { return false }
        return try withPage(number) { (mine) throws(WALDecodeError) in
            try other.withPage(number) { (theirs) throws(WALDecodeError) in
                bytesAreEqual(mine, 0, theirs, 0, mine.count)
            }
        }
    }
}

/// A whole database in memory, as a ``PageReader``: the bytes of its file.
///
/// Meant for databases that are small or bounded by a limit of the caller, and for tests.
package struct DatabaseImage: PageReader {
    package let header: DatabaseHeader
    package let pageCount: UInt32
    /// The whole file.
    package let bytes: [UInt8]

    package var pageSize: Int { header.pageSize }
    package var usableSize: Int { header.usableSize }

    /// The file's bytes; an incomplete last page is ignored.
    package init(_ bytes: [UInt8]) throws(WALDecodeError) {
        // withUnsafeBytes rethrows untyped errors.
        let header = bytes.withUnsafeBytes { bytes in
            Result { () throws(WALDecodeError) in try DatabaseHeader(bytes) }
        }
        self.header = try header.get()
        self.bytes = bytes
        self.pageCount = UInt32(clamping: bytes.count / self.header.pageSize)
    }

    package func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        guard number > 0, number <= pageCount else { throw WALDecodeError(page: number, .pageOutOfRange) }
        let start = (Int(number) - 1) * pageSize
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(WALDecodeError) in
                try body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + pageSize]))
            }
        }
        return try result.get()
    }
}

/// The memory in which a payload that overflows its page is assembled; reused from cell to cell.
package final class PayloadBuffer {
    /// A buffer that had to grow past this many bytes is released after use.
    private static let maxKeptBytes = 1 << 20

    private var storage: UnsafeMutableRawBufferPointer

    package init() { storage = .allocate(byteCount: 0, alignment: 1) }

    deinit { storage.deallocate() }

    /// The whole payload of `cell`: on the page itself where it fits, else copied into this buffer; valid until the
    /// next call and while the page is borrowed.
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
        // The chain reveals a broken length before this buffer grows: at first only the bytes that certainly exist are
        // copied.
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
