/// A page of a b-tree, its bytes borrowed: valid only within the call that passed them.
///
/// Source: [B-tree Pages](https://sqlite.org/fileformat2.html#b_tree_pages).
package struct BTreePage {
    /// The page's first byte.
    package enum Kind: UInt8, Sendable {
        case interiorIndex = 2
        case interiorTable = 5
        case leafIndex = 10
        case leafTable = 13

        @inline(__always) package var isInterior: Bool { rawValue < 10 }
        @inline(__always) package var isTable: Bool { rawValue & 1 == 1 }
    }

    package let number: UInt32
    package let kind: Kind
    package let cellCount: Int
    package let format: PageFormat
    package let bytes: UnsafeRawBufferPointer
    private let headerStart: Int
    private let pointersStart: Int

    /// Checks the header and that the array of cell pointers fits; the cells themselves are checked as they are read.
    @inline(__always)
    package init(_ bytes: UnsafeRawBufferPointer, number: UInt32, format: PageFormat) throws(WALDecodeError) {
        // Page 1 starts with the database header.
        let start = number == 1 ? DatabaseHeader.byteCount : 0
        guard bytes.count >= format.usableSize, let kind = Kind(rawValue: bytes[start]) else {
            throw WALDecodeError(page: number, .unknownPageType(bytes.count > start ? bytes[start] : 0))
        }
        let count = bytes.bigEndian16(at: start + 3)
        let pointers = start + (kind.isInterior ? 12 : 8)
        guard pointers + 2 * count <= format.usableSize else {
            throw WALDecodeError(page: number, .cellCountTooLarge(count))
        }
        self.number = number
        self.kind = kind
        self.cellCount = count
        self.format = format
        self.bytes = bytes
        self.headerStart = start
        self.pointersStart = pointers
    }

    /// The offset of a cell within the page: at least behind the cell pointers, and at least four bytes before the end.
    @inline(__always)
    package func cellOffset(at index: Int) throws(WALDecodeError) -> Int {
        let offset = bytes.bigEndian16(at: pointersStart + 2 * index)
        guard offset >= pointersStart + 2 * cellCount, offset + 4 <= format.usableSize else {
            throw WALDecodeError(page: number, .badCell(index))
        }
        return offset
    }

    /// The children of an interior page, left to right; nothing for a leaf.
    @inline(__always)
    package func forEachChild(_ body: (UInt32) throws(WALDecodeError) -> Void) throws(WALDecodeError) {
        guard kind.isInterior else { return }
        for index in 0..<cellCount {
            try body(bytes.bigEndian32(at: try cellOffset(at: index)))
        }
        try body(bytes.bigEndian32(at: headerStart + 8))
    }

    /// The leftmost child of an interior page; nil for a leaf.
    package func firstChild() throws(WALDecodeError) -> UInt32? {
        guard kind.isInterior else { return nil }
        return bytes.bigEndian32(at: cellCount > 0 ? try cellOffset(at: 0) : headerStart + 8)
    }
}

extension PageReader {
    @inline(__always)
    package var format: PageFormat { PageFormat(usableSize: usableSize) }

    /// Calls `body` with a page that must be a b-tree's.
    @inline(__always)
    package func withTreePage<R>(
        _ number: UInt32,
        format: PageFormat,
        _ body: (BTreePage) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        try withPage(number) { (bytes) throws(WALDecodeError) in
            try body(BTreePage(bytes, number: number, format: format))
        }
    }
}
