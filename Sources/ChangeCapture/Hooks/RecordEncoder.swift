import SQLiteConnection

/// Writes one record after the other without allocating: it keeps its buffers.
///
/// It writes the same format as ``RowBuilder``, for the path that runs once per row.
struct RecordEncoder: ~Copyable {
    private var header: UnsafeMutableRawPointer
    private var headerCount = 0
    private var headerCapacity = 256
    private var body: UnsafeMutableRawPointer
    private var bodyCount = 0
    private var bodyCapacity = 4_096

    init() {
        header = .allocate(byteCount: headerCapacity, alignment: 8)
        body = .allocate(byteCount: bodyCapacity, alignment: 8)
    }

    deinit {
        header.deallocate()
        body.deallocate()
    }

    /// A buffer that one huge value grew beyond this many bytes is released.
    private static let keptCapacity = 1 << 20

    /// Begins a record. The first byte of the header is for its own size.
    @inline(__always)
    mutating func begin() {
        headerCount = 1
        bodyCount = 0
    }

    @inline(__always)
    mutating func append(_ value: BorrowedValue) {
        switch value {
        case .null:
            append(type: 0)
        case .integer(let value):
            append(integer: value)
        case .real(let value):
            append(type: 7)
            reserveBody(8)
            body.storeBytes(of: value.bitPattern.bigEndian, toByteOffset: bodyCount, as: UInt64.self)
            bodyCount += 8
        case .text(let bytes):
            append(type: SerialType.text(byteCount: bytes.count).rawValue)
            append(bytes)
        case .blob(let bytes):
            append(type: SerialType.blob(byteCount: bytes.count).rawValue)
            append(bytes)
        }
    }

    /// Ends the record and passes its two parts.
    @inline(__always)
    mutating func finish<R>(_ use: (_ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer) -> R) -> R {
        var start = 0
        if headerCount < 0x80 {
            header.storeBytes(of: UInt8(truncatingIfNeeded: headerCount), as: UInt8.self)
        } else {
            start = prependLongSize()
        }
        defer { giveBack() }
        return use(
            UnsafeRawBufferPointer(start: header + start, count: headerCount - start),
            UnsafeRawBufferPointer(start: body, count: bodyCount)
        )
    }

    func isEqual(to other: borrowing RecordEncoder) -> Bool {
        guard headerCount == other.headerCount, bodyCount == other.bodyCount else { return false }
        // The first byte of the header is set at the end.
        return UnsafeRawBufferPointer(start: header + 1, count: headerCount - 1)
            .elementsEqual(UnsafeRawBufferPointer(start: other.header + 1, count: headerCount - 1))
            && UnsafeRawBufferPointer(start: body, count: bodyCount)
                .elementsEqual(UnsafeRawBufferPointer(start: other.body, count: bodyCount))
    }

    /// The size of the header includes its own varint, which takes more than one byte here.
    private mutating func prependLongSize() -> Int {
        let types = headerCount - 1
        var size = types + 2
        while Varint.encodedLength(UInt64(size)) + types > size { size += 1 }
        var prefix: [UInt8] = []
        Varint.append(UInt64(size), to: &prefix)
        reserveHeader(prefix.count)
        (header + prefix.count).copyMemory(from: header + 1, byteCount: types)
        prefix.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { header.copyMemory(from: base, byteCount: bytes.count) }
        }
        headerCount = prefix.count + types
        return 0
    }

    @inline(__always)
    private mutating func append(integer value: Int64) {
        let type = SerialType(integer: value)
        append(type: type.rawValue)
        let length = type.byteCount ?? 0
        guard length > 0 else { return }
        reserveBody(8)
        // The bytes past `length` are overwritten by the next field.
        let shifted = UInt64(bitPattern: value) << UInt64(8 * (8 - length))
        body.storeBytes(of: shifted.bigEndian, toByteOffset: bodyCount, as: UInt64.self)
        bodyCount += length
    }

    @inline(__always)
    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserveBody(bytes.count)
        if let base = bytes.baseAddress { (body + bodyCount).copyMemory(from: base, byteCount: bytes.count) }
        bodyCount += bytes.count
    }

    @inline(__always)
    private mutating func append(type: UInt64) {
        reserveHeader(9)
        if type < 0x80 {
            header.storeBytes(of: UInt8(truncatingIfNeeded: type), toByteOffset: headerCount, as: UInt8.self)
            headerCount += 1
            return
        }
        let length = Varint.encodedLength(type)
        // No type reaches nine bytes: a value is at most 2 GB long.
        for index in 0..<length {
            let group = UInt8(truncatingIfNeeded: type >> UInt64(7 * (length - 1 - index))) & 0x7f
            header.storeBytes(
                of: index < length - 1 ? group | 0x80 : group,
                toByteOffset: headerCount + index,
                as: UInt8.self
            )
        }
        headerCount += length
    }

    @inline(__always)
    private mutating func reserveHeader(_ count: Int) {
        if headerCount + count > headerCapacity { Self.grow(&header, headerCount, &headerCapacity, by: count) }
    }

    @inline(__always)
    private mutating func reserveBody(_ count: Int) {
        if bodyCount + count + 8 > bodyCapacity { Self.grow(&body, bodyCount, &bodyCapacity, by: count + 8) }
    }

    @inline(never)
    private static func grow(
        _ buffer: inout UnsafeMutableRawPointer,
        _ count: Int,
        _ capacity: inout Int,
        by more: Int
    ) {
        capacity = max(capacity * 2, count + more)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        larger.copyMemory(from: buffer, byteCount: count)
        buffer.deallocate()
        buffer = larger
    }

    @inline(__always)
    private mutating func giveBack() {
        if bodyCapacity > Self.keptCapacity { shrink() }
    }

    @inline(never)
    private mutating func shrink() {
        body.deallocate()
        bodyCapacity = 4_096
        body = .allocate(byteCount: bodyCapacity, alignment: 8)
        bodyCount = 0
    }
}

/// Converts a row to the columns that its table has later, as `ALTER TABLE` did with the existing rows: kept columns
/// keep their value, new ones get the value that an older row reads, generated ones are computed.
///
/// SQLite itself computes these values: see ``RecordReader``.
final class RowConverter {
    private let table: SchemaSnapshot.Table
    /// For each column of the table, its position in the old row; nil for a new one.
    private let sources: [Int?]
    private let missingValues: [SQLiteValue]
    private let virtualColumns: [Int]
    private let records: RecordReader

    /// - Parameters:
    ///   - table: the table as it is later.
    ///   - sources: for each of its columns, the position in the old row; nil for a new one.
    init(to table: SchemaSnapshot.Table, sources: [Int?], reading records: RecordReader) throws(SQLiteError) {
        self.table = table
        self.sources = sources
        self.records = records
        let columns = table.description.columns
        virtualColumns = columns.indices.filter { columns[$0].visibility == .generatedVirtual }
        missingValues = try records.missingValues(table.description, table.fields)
    }

    func convert(_ row: Row, rowid: Int64?) throws(SQLiteError) -> Row {
        let old = row.values
        let values = sources.indices.map { column in
            guard let source = sources[column] else { return missingValues[column] }
            return source < old.count ? old[source] : .null
        }
        guard !virtualColumns.isEmpty else { return Row(values) }
        var rows = [(rowid: rowid ?? 0, row: Row(values))]
        try records.compute(virtualColumns, of: table.description, table.fields, in: &rows)
        return rows[0].row
    }
}
