/// A page of a b-tree, with borrowed bytes: valid only within the call that passed them.
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

    /// Checks the header, and that the array of cell pointers fits; the cells themselves are checked when they are
    /// read.
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

    /// The offset of a cell within the page: after the cell pointers, and at least four bytes before the end.
    @inline(__always)
    package func cellOffset(at index: Int) throws(WALDecodeError) -> Int {
        let offset = bytes.bigEndian16(at: pointersStart + 2 * index)
        guard offset >= pointersStart + 2 * cellCount, offset + 4 <= format.usableSize else {
            throw WALDecodeError(page: number, .badCell(index))
        }
        return offset
    }

    /// The children of an interior page, left to right; empty for a leaf.
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

    /// Calls `body` with a page that must be a b-tree page.
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

/// The location of a cell's payload on its page.
///
/// Source: [B-tree Cell Format](https://sqlite.org/fileformat2.html#b_tree_pages).
package struct Cell: Hashable, Sendable {
    /// The rowid; 0 in an index.
    package var rowid: Int64
    /// The whole payload in bytes, overflow pages included.
    package var payloadLength: Int
    /// The offset within the page of the first byte of payload.
    package var payloadOffset: Int
    /// The bytes of payload on the page itself.
    package var localLength: Int
    /// The first page of the overflow chain; 0 when the whole payload is on the page.
    package var overflowPage: UInt32
}

extension BTreePage {
    /// The cell at `index`, which must be below ``cellCount``. The page must not be an interior page of a table: those
    /// have no payload.
    @inline(__always)
    package func cell(at index: Int) throws(WALDecodeError) -> Cell {
        var offset = try cellOffset(at: index)
        if kind == .interiorIndex { offset += 4 }
        guard let length = Varint.read(bytes, at: &offset) else { throw WALDecodeError(page: number, .badCell(index)) }
        var rowid: Int64 = 0
        if kind == .leafTable {
            guard let raw = Varint.read(bytes, at: &offset) else {
                throw WALDecodeError(page: number, .badCell(index))
            }
            rowid = Int64(bitPattern: raw)
        }
        // SQLite stores a payload's length in 31 bits.
        guard length <= 0x7fff_ffff else { throw WALDecodeError(page: number, .payloadTooLarge(length)) }
        let local = format.localLength(of: Int(length), isTable: kind.isTable)
        let overflows = local < Int(length)
        guard offset + local + (overflows ? 4 : 0) <= format.usableSize else {
            throw WALDecodeError(page: number, .badCell(index))
        }
        return Cell(
            rowid: rowid,
            payloadLength: Int(length),
            payloadOffset: offset,
            localLength: local,
            overflowPage: overflows ? bytes.bigEndian32(at: offset + local) : 0
        )
    }

    /// The payload bytes on the page itself.
    @inline(__always)
    package func localPayload(of cell: Cell) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[cell.payloadOffset..<cell.payloadOffset + cell.localLength])
    }

    /// Only the rowid, which is cheaper to read than the cell. For leaves of tables.
    @inline(__always)
    package func rowid(at index: Int) throws(WALDecodeError) -> Int64 {
        var offset = try cellOffset(at: index)
        guard Varint.read(bytes, at: &offset) != nil, let raw = Varint.read(bytes, at: &offset) else {
            throw WALDecodeError(page: number, .badCell(index))
        }
        return Int64(bitPattern: raw)
    }
}

/// The sizes that determine a page's layout: how much of a payload is kept in its cell and how much overflows.
///
/// Source: [B-tree Cell Format](https://sqlite.org/fileformat2.html#b_tree_pages), where these are `U`, `X` and `M`.
package struct PageFormat: Hashable, Sendable {
    package let usableSize: Int
    /// Up to this size the payload of a table's leaf cell stays in the cell.
    package let maxLocalInTable: Int
    /// Up to this size the payload of an index cell stays in the cell.
    package let maxLocalInIndex: Int
    /// A payload that overflows keeps at least this much in its cell.
    package let minLocal: Int

    package init(usableSize: Int) {
        self.usableSize = usableSize
        maxLocalInTable = usableSize - 35
        maxLocalInIndex = (usableSize - 12) * 64 / 255 - 23
        minLocal = (usableSize - 12) * 32 / 255 - 23
    }

    /// The payload bytes of an overflow page, after the number of the next page.
    package var overflowCapacity: Int { usableSize - 4 }

    /// The bytes that a payload of `length` keeps in its cell.
    @inline(__always)
    package func localLength(of length: Int, isTable: Bool) -> Int {
        let limit = isTable ? maxLocalInTable : maxLocalInIndex
        guard length > limit else { return length }
        let surplus = minLocal + (length - minLocal) % overflowCapacity
        return surplus <= limit ? surplus : minLocal
    }
}
