/// In a database with `auto_vacuum`, the table of every page's type and parent.
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
