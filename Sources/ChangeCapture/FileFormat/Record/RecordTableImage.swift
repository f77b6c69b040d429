import SQLiteConnection

/// A database of one table, made of records in memory; SQLite reads them from it.
///
/// Page 1 has the header and no cell, as SQLite leaves it when all entries of `sqlite_schema` are on a child page: page
/// 2, with the table's entry. Page 3 is the table's root, a leaf. Overflow pages follow.
///
/// Source: [Database File Format](https://sqlite.org/fileformat2.html).
final class RecordTableImage: SnapshotPages {
    private static let rootPage: UInt32 = 3

    let pageSize = 4096
    var pageCount: UInt32 { UInt32(pages.count) }

    private let encoding: TextEncoding
    private let format: PageFormat
    /// The pages in the order of their numbers, which begin with 1; the root's element is empty.
    private var pages: [[UInt8]] = []
    /// The number of pages that remain when the records are removed.
    private var schemaPageCount = 0
    private var schemaCookie: UInt32 = 0
    private var table = LeafPage(.leafTable, pageSize: 4096)

    init(encoding: TextEncoding) {
        self.encoding = encoding
        format = PageFormat(usableSize: pageSize)
    }

    /// Turns the image into a database of this table, without any record.
    func show(_ description: TableDescription) {
        schemaCookie &+= 1
        pages = [header(), [], []]
        var schema = LeafPage(.leafTable, pageSize: pageSize)
        var entry = RowBuilder()
        for text in ["table", description.name, description.name] { entry.append(text: text, in: encoding) }
        entry.append(integer: Int64(Self.rootPage))
        entry.append(text: description.sql, in: encoding)
        let isAdded = entry.finish().withRecord { append($0, rowid: 1, to: &schema) }
        precondition(isAdded, "a cell fits on an empty page")
        pages[1] = schema.bytes
        schemaPageCount = pages.count
        table = LeafPage(description.hasRowid ? .leafTable : .leafIndex, pageSize: pageSize)
    }

    func removeRecords() {
        pages.removeLast(pages.count - schemaPageCount)
        table.removeCells()
    }

    /// Appends a record; false when the table's page is full, which an empty page never is.
    ///
    /// - Parameter rowid: ignored for a `WITHOUT ROWID` table.
    func append(_ record: UnsafeRawBufferPointer, rowid: Int64) -> Bool {
        append(record, rowid: rowid, to: &table)
    }

    func copyPage(_ number: UInt32, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        let page = number == Self.rootPage ? table.bytes : pages[Int(number) - 1]
        page.withUnsafeBytes { page in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: page[offset..<offset + buffer.count]))
        }
        return true
    }

    private func append(_ payload: UnsafeRawBufferPointer, rowid: Int64, to page: inout LeafPage) -> Bool {
        let isTable = page.kind.isTable
        let localLength = format.localLength(of: payload.count, isTable: isTable)
        var cell: [UInt8] = []
        Varint.append(UInt64(payload.count), to: &cell)
        if isTable { Varint.append(UInt64(bitPattern: rowid), to: &cell) }
        cell.append(contentsOf: payload[..<localLength])
        let overflows = localLength < payload.count
        if overflows { cell.append(contentsOf: Self.bigEndian(pageCount + 1)) }
        guard page.append(cell) else { return false }
        if overflows { appendOverflow(UnsafeRawBufferPointer(rebasing: payload[localLength...])) }
        return true
    }

    private func appendOverflow(_ payload: UnsafeRawBufferPointer) {
        var start = 0
        while start < payload.count {
            let end = min(start + format.overflowCapacity, payload.count)
            var page = Self.bigEndian(end < payload.count ? pageCount + 2 : 0)
            page.append(contentsOf: payload[start..<end])
            page.append(contentsOf: repeatElement(0, count: pageSize - page.count))
            pages.append(page)
            start = end
        }
    }

    private func header() -> [UInt8] {
        var page = [UInt8](repeating: 0, count: pageSize)
        func set(_ bytes: some Sequence<UInt8>, at offset: Int) {
            for (index, byte) in bytes.enumerated() { page[offset + index] = byte }
        }
        set("SQLite format 3\0".utf8, at: 0)
        // The page size, a rollback journal, and three fractions with fixed values.
        set([0x10, 0, 1, 1, 0, 64, 32, 32], at: 16)
        // The size in the header stays 0: SQLite then uses the file's size.
        set(Self.bigEndian(schemaCookie), at: 40)
        set(Self.bigEndian(4), at: 44)
        set(Self.bigEndian(encoding.rawValue), at: 56)
        set(Self.bigEndian(3_040_001), at: 96)
        set([BTreePage.Kind.interiorTable.rawValue, 0, 0, 0, 0, 0x10, 0, 0], at: DatabaseHeader.byteCount)
        set(Self.bigEndian(2), at: DatabaseHeader.byteCount + 8)
        return page
    }

    fileprivate static func bigEndian(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
    }
}

/// A leaf page of a b-tree; cells are appended to it.
private struct LeafPage {
    private static let headerSize = 8
    private static let minCellSize = 4

    let kind: BTreePage.Kind
    private(set) var bytes: [UInt8]
    private var cellCount = 0
    private var contentStart: Int

    init(_ kind: BTreePage.Kind, pageSize: Int) {
        self.kind = kind
        bytes = [UInt8](repeating: 0, count: pageSize)
        contentStart = pageSize
        writeHeader()
    }

    mutating func removeCells() {
        cellCount = 0
        contentStart = bytes.count
        writeHeader()
    }

    /// False when the cell does not fit.
    mutating func append(_ cell: [UInt8]) -> Bool {
        let size = max(Self.minCellSize, cell.count)
        let pointer = Self.headerSize + 2 * cellCount
        guard contentStart - size >= pointer + 2 else { return false }
        contentStart -= size
        bytes.replaceSubrange(contentStart..<contentStart + cell.count, with: cell)
        set16(contentStart, at: pointer)
        cellCount += 1
        writeHeader()
        return true
    }

    private mutating func writeHeader() {
        bytes[0] = kind.rawValue
        set16(cellCount, at: 3)
        set16(contentStart, at: 5)
    }

    private mutating func set16(_ value: Int, at offset: Int) {
        bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
    }
}

extension RowBuilder {
    /// Appends TEXT in the given database encoding.
    mutating func append(text: String, in encoding: TextEncoding) {
        var text = text
        text.withUTF8 { append(text: UnsafeRawBufferPointer($0), in: encoding) }
    }

    /// Appends TEXT, given as UTF-8, in the given database encoding.
    mutating func append(text utf8: UnsafeRawBufferPointer, in encoding: TextEncoding) {
        guard encoding != .utf8 else { return append(text: utf8) }
        var bytes: [UInt8] = []
        for unit in String(decoding: utf8, as: UTF8.self).utf16 {
            let (high, low) = (UInt8(unit >> 8), UInt8(truncatingIfNeeded: unit))
            bytes.append(contentsOf: encoding == .utf16BigEndian ? [high, low] : [low, high])
        }
        bytes.withUnsafeBytes { append(text: $0) }
    }
}
