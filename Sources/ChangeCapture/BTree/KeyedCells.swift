/// Cells of a `WITHOUT ROWID` table by the hash of their keys, in 16 bytes each.
///
/// Such a table is ordered by its columns' collations, which may be an application's own: cells are paired by hash rather
/// than by order. The hash is seeded by the process, so that no writer can aim for collisions.
struct KeyedCells {
    struct Entry {
        var hash: UInt64
        var page: UInt32
        var cell: Int32
    }

    /// A page that takes part, on one side or on both.
    struct Page {
        var number: UInt32
        var isOld: Bool
        var isNew: Bool
    }

    private(set) var entries: [Entry] = []

    mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

    /// Adds the cells of a range whose key's hash falls into the partition.
    mutating func add(
        _ cells: Range<Int>,
        of page: BTreePage,
        in reader: some PageReader,
        keyFieldCount: Int,
        partition: (index: UInt64, count: UInt64),
        buffer: PayloadBuffer
    ) throws(WALDecodeError) {
        for index in cells {
            let cell = try page.cell(at: index)
            let key = try Self.key(of: cell, on: page, in: reader, fieldCount: keyFieldCount, buffer: buffer)
            var hasher = Hasher()
            key.hash(into: &hasher)
            let hash = UInt64(bitPattern: Int64(hasher.finalize()))
            if partition.count == 1 || hash % partition.count == partition.index {
                entries.append(Entry(hash: hash, page: page.number, cell: Int32(index)))
            }
        }
    }

    mutating func sort() { entries.sort { $0.hash < $1.hash } }

    /// The key's bytes: on the page where they fit, which is nearly always, else in the buffer.
    static func key(
        of cell: Cell,
        on page: BTreePage,
        in reader: some PageReader,
        fieldCount: Int,
        buffer: PayloadBuffer
    ) throws(WALDecodeError) -> RecordKey {
        if let key = RecordKey(page.localPayload(of: cell), fieldCount: fieldCount) { return key }
        let payload = try buffer.payload(of: cell, on: page, in: reader) { _ in }
        guard let key = RecordKey(payload, fieldCount: fieldCount) else {
            throw WALDecodeError(page: page.number, .badRecord)
        }
        return key
    }
}
