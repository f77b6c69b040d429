public import SQLiteConnection

/// The values of one row, in the order of ``TableDescription/columns``.
///
/// Kept in SQLite's record format (UTF-8, every column present, shortest integers), so that two rows are equal exactly when
/// their bytes are. A row owns its bytes, or shares one allocation with the other rows of its transaction: keeping a single
/// row of a large transaction keeps that allocation alive, so copy its ``values`` to keep them longer.
///
/// Source: [Record Format](https://sqlite.org/fileformat2.html#record_format).
public struct Row: Sendable {
    private let storage: [UInt8]
    private let start: Int
    // Both have fewer bits in SQLite; a transaction can have millions of rows.
    private let recordByteCount: UInt32
    private let columnCount: UInt32

    /// The number of columns.
    public var count: Int { Int(columnCount) }

    package init(record: [UInt8], count: Int) {
        self.init(sharing: record, bytes: 0..<record.count, count: count)
    }

    /// The record at `bytes` of an allocation that several rows share.
    package init(sharing storage: [UInt8], bytes: Range<Int>, count: Int) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= storage.count, "a record outside of its storage")
        self.storage = storage
        start = bytes.lowerBound
        recordByteCount = UInt32(bytes.count)
        columnCount = UInt32(count)
    }

    public init(_ values: [SQLiteValue]) {
        var builder = RowBuilder()
        for value in values { builder.append(value) }
        self = builder.finish()
    }

    /// Every value, decoded.
    public var values: [SQLiteValue] {
        var values: [SQLiteValue] = []
        values.reserveCapacity(count)
        forEachField { values.append($0.owned) }
        return values
    }

    /// The value of one column. Walks the record's header: use ``values`` to read all of them.
    public subscript(column: Int) -> SQLiteValue {
        precondition(column >= 0 && column < count, "column \(column) of a row with \(count) columns")
        var index = 0
        var result = SQLiteValue.null
        forEachField { field in
            if index == column { result = field.owned }
            index += 1
        }
        return result
    }

    /// The size of the record.
    package var byteCount: Int { Int(recordByteCount) }

    /// The record's bytes, borrowed.
    package func withRecord<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        storage.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start..<start + byteCount])) }
    }

    /// Calls `body` with every field in order, without copying its bytes.
    package func forEachField<E>(_ body: (BorrowedValue) throws(E) -> Void) throws(E) {
        let result: Result<Void, E> = withRecord { bytes in
            do throws(E) {
                try BorrowedValue.forEach(inRecord: bytes, body)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// A row with only these columns, in this order.
    package func selecting(_ columns: [Int]) -> Row {
        withRecord { bytes in
            var fields: [BorrowedValue] = []
            fields.reserveCapacity(count)
            BorrowedValue.forEach(inRecord: bytes) { fields.append($0) }
            var builder = RowBuilder()
            for column in columns { builder.append(fields.indices.contains(column) ? fields[column] : .null) }
            return builder.finish()
        }
    }
}

extension Row: Hashable {
    public static func == (left: Row, right: Row) -> Bool {
        left.count == right.count && left.byteCount == right.byteCount
            && left.withRecord { left in right.withRecord { bytesAreEqual(left, 0, $0, 0, left.count) } }
    }

    public func hash(into hasher: inout Hasher) {
        withRecord { hasher.combine(bytes: $0) }
    }
}

/// Collects values into a ``Row``. Reuse a builder for many rows: it keeps its buffers.
package struct RowBuilder {
    private var types: [UInt8] = []
    private var body: [UInt8] = []
    private var count = 0

    package init() {}

    package mutating func append(_ value: SQLiteValue) {
        switch value {
        case .null: appendNull()
        case .integer(let value): append(integer: value)
        case .real(let value): append(real: value)
        case .text(var string): string.withUTF8 { append(text: UnsafeRawBufferPointer($0)) }
        case .blob(let bytes): bytes.withUnsafeBytes { append(blob: $0) }
        case .malformedText(let bytes): bytes.withUnsafeBytes { append(text: $0) }
        }
    }

    package mutating func append(_ field: Field) {
        switch field {
        case .null: appendNull()
        case .integer(let value): append(integer: value)
        case .real(let value): append(real: value)
        case .text(let bytes): append(text: bytes)
        case .blob(let bytes): append(blob: bytes)
        }
    }

    package mutating func appendNull() { append(type: .null) }

    package mutating func append(integer value: Int64) {
        let type = SerialType(integer: value)
        append(type: type)
        let length = type.byteCount ?? 0
        for shift in stride(from: 8 * (length - 1), through: 0, by: -8) {
            body.append(UInt8(truncatingIfNeeded: value >> Int64(shift)))
        }
    }

    package mutating func append(real value: Double) {
        append(type: .real)
        withUnsafeBytes(of: value.bitPattern.bigEndian) { body.append(contentsOf: $0) }
    }

    /// Appends TEXT that is UTF-8, or that SQLite would return as UTF-8.
    package mutating func append(text bytes: UnsafeRawBufferPointer) {
        append(type: .text(byteCount: bytes.count))
        body.append(contentsOf: bytes)
    }

    package mutating func append(blob bytes: UnsafeRawBufferPointer) {
        append(type: .blob(byteCount: bytes.count))
        body.append(contentsOf: bytes)
    }

    /// The row of everything appended since the last call; afterwards the builder is empty.
    package mutating func finish() -> Row {
        // The header's size includes its own varint, which can grow because of that.
        var headerSize = types.count + 1
        while Varint.encodedLength(UInt64(headerSize)) + types.count > headerSize { headerSize += 1 }
        var record: [UInt8] = []
        record.reserveCapacity(headerSize + body.count)
        Varint.append(UInt64(headerSize), to: &record)
        record.append(contentsOf: types)
        record.append(contentsOf: body)
        let row = Row(record: record, count: count)
        types.removeAll(keepingCapacity: true)
        body.removeAll(keepingCapacity: true)
        count = 0
        return row
    }

    private mutating func append(type: SerialType) {
        Varint.append(type.rawValue, to: &types)
        count += 1
    }
}
