/// Where a cell's payload is on its page.
///
/// Source: [B-tree Cell Format](https://sqlite.org/fileformat2.html#b_tree_pages).
package struct Cell: Hashable, Sendable {
    /// 0 in an index.
    package var rowid: Int64
    /// The whole payload in bytes, overflow pages included.
    package var payloadLength: Int
    /// The offset within the page of the first byte of payload.
    package var payloadOffset: Int
    /// The bytes of payload on the page itself.
    package var localLength: Int
    /// The first page of the overflow chain; 0 where the payload is whole.
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
        // SQLite keeps a payload's length in 31 bits.
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

    /// The rowid alone, which is cheaper to read than the cell. For leaves of tables.
    @inline(__always)
    package func rowid(at index: Int) throws(WALDecodeError) -> Int64 {
        var offset = try cellOffset(at: index)
        guard Varint.read(bytes, at: &offset) != nil, let raw = Varint.read(bytes, at: &offset) else {
            throw WALDecodeError(page: number, .badCell(index))
        }
        return Int64(bitPattern: raw)
    }
}
