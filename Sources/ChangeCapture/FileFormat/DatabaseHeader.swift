/// The fields that the decoder needs from the 100 bytes at the start of a database file.
///
/// Source: [The Database Header](https://sqlite.org/fileformat2.html#the_database_header).
package struct DatabaseHeader: Hashable, Sendable {
    package static let byteCount = 100
    private static let magic = Array("SQLite format 3\0".utf8)

    /// In bytes, a power of two from 512 to 65,536.
    package var pageSize: Int
    /// Bytes at the end of every page that the b-trees do not use.
    package var reservedByteCount: Int
    /// The size of the database in pages, as the last writer recorded it.
    package var pageCount: UInt32
    package var firstFreelistTrunk: UInt32
    package var freelistPageCount: UInt32
    /// Changes whenever the schema does.
    package var schemaCookie: UInt32
    /// True for `auto_vacuum` FULL and INCREMENTAL: the file then has pointer-map pages.
    package var hasPointerMap: Bool
    package var encoding: TextEncoding

    package var usableSize: Int { pageSize - reservedByteCount }

    /// The header of an empty file, as SQLite writes it by default.
    package static let empty = DatabaseHeader()

    private init() {
        pageSize = 4096
        reservedByteCount = 0
        pageCount = 0
        firstFreelistTrunk = 0
        freelistPageCount = 0
        schemaCookie = 0
        hasPointerMap = false
        encoding = .utf8
    }

    /// Parses the first 100 bytes of a file or of page 1. An encrypted file fails here, because of the magic bytes.
    package init(_ bytes: UnsafeRawBufferPointer) throws(WALDecodeError) {
        guard bytes.count >= Self.byteCount else {
            throw WALDecodeError(page: 1, .badHeader("at least 100 bytes"))
        }
        guard bytes.prefix(16).elementsEqual(Self.magic) else {
            throw WALDecodeError(page: 1, .badHeader("\"SQLite format 3\" (is the file encrypted?)"))
        }
        let size = bytes.bigEndian16(at: 16)
        pageSize = size == 1 ? 65_536 : size
        guard pageSize >= 512, pageSize & (pageSize - 1) == 0 else {
            throw WALDecodeError(page: 1, .badHeader("a page size that is a power of two from 512 to 65536"))
        }
        reservedByteCount = Int(bytes[20])
        // "The usable size is not allowed to be less than 480."
        guard pageSize - reservedByteCount >= 480 else {
            throw WALDecodeError(page: 1, .badHeader("at least 480 usable bytes a page"))
        }
        pageCount = bytes.bigEndian32(at: 28)
        firstFreelistTrunk = bytes.bigEndian32(at: 32)
        freelistPageCount = bytes.bigEndian32(at: 36)
        schemaCookie = bytes.bigEndian32(at: 40)
        hasPointerMap = bytes.bigEndian32(at: 52) != 0
        // The value is 0 in a database in which nothing was ever created.
        let rawEncoding = bytes.bigEndian32(at: 56)
        guard let encoding = TextEncoding(rawValue: rawEncoding == 0 ? 1 : rawEncoding) else {
            throw WALDecodeError(page: 1, .badHeader("a text encoding from 1 to 3"))
        }
        self.encoding = encoding
    }
}

extension UnsafeRawBufferPointer {
    /// The two bytes at `offset`, most significant first. The caller has checked the bounds.
    @inline(__always)
    package func bigEndian16(at offset: Int) -> Int {
        Int(UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
    }

    /// The four bytes at `offset`, most significant first. The caller has checked the bounds.
    @inline(__always)
    package func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}

/// The free pages of a database.
///
/// Source: [The Freelist](https://sqlite.org/fileformat2.html#the_freelist).
package enum Freelist {
    /// Calls `body` with every trunk page and every leaf that it lists, until it returns false.
    package static func forEachPage(
        in reader: some PageReader,
        _ body: (UInt32) throws(WALDecodeError) -> Bool
    ) throws(WALDecodeError) {
        guard reader.pageCount > 0 else { return }
        var trunk = try reader.withPage(1) { (bytes) throws(WALDecodeError) in
            try DatabaseHeader(bytes).firstFreelistTrunk
        }
        let maxLeaves = reader.usableSize / 4 - 2
        var cycle = CycleGuard(from: trunk)
        while trunk != 0 {
            guard trunk <= reader.pageCount else { throw WALDecodeError(page: trunk, .badFreelist) }
            guard try body(trunk) else { return }
            let next = try reader.withPage(trunk) { (bytes) throws(WALDecodeError) -> UInt32? in
                let count = Int(bytes.bigEndian32(at: 4))
                guard count <= maxLeaves else { throw WALDecodeError(page: trunk, .badFreelist) }
                for index in 0..<count {
                    guard try body(bytes.bigEndian32(at: 8 + 4 * index)) else { return nil }
                }
                return bytes.bigEndian32(at: 0)
            }
            guard let next else { return }
            guard !cycle.isRepeated(next) else { throw WALDecodeError(page: next, .badFreelist) }
            trunk = next
        }
    }
}

/// In a database with `auto_vacuum`, the table with every page's type and parent.
///
/// Source: [Pointer Map or Ptrmap Pages](https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages).
package struct PointerMap: Hashable, Sendable {
    package enum Entry: Hashable, Sendable {
        case root
        case free
        /// The first page of an overflow chain, whose cell is on this b-tree page.
        case firstOverflow(treePage: UInt32)
        /// A later page of an overflow chain, and the one before it.
        case laterOverflow(previous: UInt32)
        case child(parent: UInt32)
    }

    private let entriesPerPage: UInt32
    /// The page at the offset where SQLite takes its locks, which is never used.
    package let lockPage: UInt32

    package init(pageSize: Int, usableSize: Int) {
        entriesPerPage = UInt32(usableSize / 5)
        lockPage = UInt32((1 << 30) / pageSize) + 1
    }

    /// Whether the page is part of the map rather than described by it.
    package func isPointerMapPage(_ number: UInt32) -> Bool { number >= 2 && mapPage(of: number) == number }

    /// The page of the map that has the entry of page `number`, which is 2 or more.
    package func mapPage(of number: UInt32) -> UInt32 {
        let interval = entriesPerPage + 1
        let page = (number - 2) / interval * interval + 2
        return page == lockPage ? page + 1 : page
    }

    package func entry(of number: UInt32, in reader: some PageReader) throws(WALDecodeError) -> Entry {
        guard number > 2, number <= reader.pageCount, !isPointerMapPage(number) else {
            throw WALDecodeError(page: number, .pageOutOfRange)
        }
        let mapPage = mapPage(of: number)
        let offset = 5 * (Int(number) - Int(mapPage) - 1)
        guard offset >= 0, offset + 5 <= reader.usableSize else {
            throw WALDecodeError(page: number, .pageOutOfRange)
        }
        return try reader.withPage(mapPage) { (bytes) throws(WALDecodeError) in
            let parent = bytes.bigEndian32(at: offset + 1)
            switch bytes[offset] {
            case 1: return .root
            case 2: return .free
            case 3: return .firstOverflow(treePage: parent)
            case 4: return .laterOverflow(previous: parent)
            case 5: return .child(parent: parent)
            case let other: throw WALDecodeError(page: mapPage, .badPointerMapEntry(other))
            }
        }
    }
}
