package import SQLiteConnection

/// Turns records of a b-tree into ``Row``s. Reuse a decoder for many rows: it keeps its memory.
package struct RecordDecoder {
    private var header = RecordHeader()
    private var builder = RowBuilder()
    private var utf8: [UInt8] = []

    package init() {}

    /// The row of a whole record, in the order of the table's columns; nil when the record is malformed.
    ///
    /// VIRTUAL generated columns are NULL, text is converted to UTF-8 as SQLite does, and an integer in a column with REAL
    /// affinity is read as a real.
    package mutating func row(
        _ payload: UnsafeRawBufferPointer,
        rowid: Int64,
        layout: TableLayout,
        encoding: TextEncoding
    ) -> Row? {
        guard header.parse(payload) else { return nil }
        for index in layout.columns.indices {
            let column = layout.columns[index]
            switch column.source {
            case .rowid: builder.append(integer: rowid)
            case .virtual: builder.appendNull()
            case .field(let field) where field < header.fields.count:
                append(header.fields[field], of: payload, asReal: column.readsIntegersAsReal, encoding)
            // A table whose missing values are unknown is not decoded.
            case .field: builder.append(layout.missingValues?[index] ?? .null)
            }
        }
        return builder.finish()
    }

    /// A row decoded with one layout, in the order and with the columns of another.
    package mutating func row(_ row: Row, mappedBy mapping: ColumnMapping) -> Row {
        let values = row.values
        for (source, missing) in zip(mapping.sources, mapping.missingValues) {
            builder.append(source.map { values[$0] } ?? missing)
        }
        return builder.finish()
    }

    @inline(__always)
    private mutating func append(
        _ position: RecordHeader.Position,
        of payload: UnsafeRawBufferPointer,
        asReal: Bool,
        _ encoding: TextEncoding
    ) {
        // The header was checked against the payload's length.
        let end = position.offset + (position.type.byteCount ?? 0)
        guard let field = Field(position.type, UnsafeRawBufferPointer(rebasing: payload[position.offset..<end])) else {
            builder.appendNull()
            return
        }
        switch field {
        case .integer(let value) where asReal: builder.append(real: Double(value))
        case .text(let bytes) where encoding != .utf8:
            utf8.removeAll(keepingCapacity: true)
            encoding.appendUTF8(bytes, to: &utf8)
            utf8.withUnsafeBytes { builder.append(text: $0) }
        default: builder.append(field)
        }
    }
}

/// The columns that the fields of a table's records hold, in order.
///
/// A record has only the stored columns: VIRTUAL generated columns have no field, and the `INTEGER PRIMARY KEY` has one
/// that is always NULL. The records of a `WITHOUT ROWID` table begin with the primary key in the order of its index,
/// where a column that the key names under two collations appears twice; only [`PRAGMA
/// index_xinfo`](https://sqlite.org/pragma.html#pragma_index_xinfo) gives that order.
package struct RecordFields: Sendable, Hashable {
    /// For each field the position of its column in ``TableDescription/columns``.
    package let columns: [Int]
    /// The leading fields that are the primary key of a `WITHOUT ROWID` table; 0 for a table with rowid.
    package let keyCount: Int
    /// The index that stores a `WITHOUT ROWID` table; nil for a table with rowid.
    package let keyIndex: SQLName?

    /// For a table with rowid: the stored columns in table order.
    package init(ofRowidTable columns: [ColumnDescription]) {
        self.columns = columns.indices.filter { columns[$0].visibility != .generatedVirtual }
        keyCount = 0
        keyIndex = nil
    }

    /// For a `WITHOUT ROWID` table: the columns in the order of its primary key's index.
    package init(columns: [Int], keyCount: Int, keyIndex: SQLName) {
        self.columns = columns
        self.keyCount = keyCount
        self.keyIndex = keyIndex
    }
}

/// The serial types and positions of a record's fields. Reuse a header for many records: it keeps its memory.
///
/// Source: [Record Format](https://sqlite.org/fileformat2.html#record_format).
package struct RecordHeader {
    package struct Position {
        package var type: SerialType
        /// The offset within the payload.
        package var offset: Int
    }

    package private(set) var fields: [Position] = []

    package init() {}

    /// Reads the header of a record; false when it is malformed, has a reserved type, or the body is shorter than the
    /// header claims.
    @inline(__always)
    package mutating func parse(_ payload: UnsafeRawBufferPointer) -> Bool {
        fields.removeAll(keepingCapacity: true)
        var offset = 0
        guard let size = Varint.read(payload, at: &offset), size <= UInt64(payload.count) else { return false }
        let end = Int(size)
        // The header's own length counts itself.
        guard offset <= end else { return false }
        var position = end
        while offset < end {
            guard let raw = Varint.read(payload, at: &offset) else { return false }
            let type = SerialType(rawValue: raw)
            guard let length = type.byteCount, length <= payload.count - position else { return false }
            fields.append(Position(type: type, offset: position))
            position += length
        }
        return offset == end
    }
}

/// One field of a record, with borrowed bytes: valid only within the call that passed it.
///
/// A text field has the encoding of its record: that of the database in a file, UTF-8 within a ``Row``.
package typealias Field = BorrowedValue

extension BorrowedValue {
    /// Decodes a field of the given type; nil when the type is reserved or the length of the bytes does not match.
    package init?(_ type: SerialType, _ bytes: UnsafeRawBufferPointer) {
        guard type.byteCount == bytes.count else { return nil }
        switch type.rawValue {
        case 0: self = .null
        case 1...6: self = .integer(Self.signedBigEndian(bytes))
        case 7: self = .real(Double(bitPattern: UInt64(bitPattern: Self.signedBigEndian(bytes))))
        case 8: self = .integer(0)
        case 9: self = .integer(1)
        default: self = type.isText ? .text(bytes) : .blob(bytes)
        }
    }

    /// Calls `body` with every field of a record in order; stops at the first incomplete one.
    package static func forEach<E>(inRecord bytes: UnsafeRawBufferPointer, _ body: (Field) throws(E) -> Void) throws(E)
    {
        var header = 0
        guard let headerSize = Varint.read(bytes, at: &header), headerSize <= UInt64(bytes.count) else { return }
        let headerEnd = Int(headerSize)
        var position = headerEnd
        while header < headerEnd, let raw = Varint.read(bytes, at: &header) {
            let type = SerialType(rawValue: raw)
            guard let byteCount = type.byteCount, byteCount <= bytes.count - position else { return }
            let end = position + byteCount
            guard let field = BorrowedValue(type, UnsafeRawBufferPointer(rebasing: bytes[position..<end])) else {
                return
            }
            position = end
            try body(field)
        }
    }

    @inline(__always)
    package var isNull: Bool {
        if case .null = self { true } else { false }
    }

    private static func signedBigEndian(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        var value = bytes.first.map { Int64(Int8(bitPattern: $0)) } ?? 0
        for byte in bytes.dropFirst() { value = value << 8 | Int64(byte) }
        return value
    }
}

/// The type and length of one field of a record.
///
/// Source: [Record Format](https://sqlite.org/fileformat2.html#record_format).
package struct SerialType: RawRepresentable, Sendable, Hashable {
    package let rawValue: UInt64

    @inline(__always)
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static let null = SerialType(rawValue: 0)
    package static let real = SerialType(rawValue: 7)

    package static func text(byteCount: Int) -> SerialType { SerialType(rawValue: UInt64(byteCount) * 2 + 13) }
    package static func blob(byteCount: Int) -> SerialType { SerialType(rawValue: UInt64(byteCount) * 2 + 12) }

    /// The shortest form, which SQLite chooses since file format 4.
    package init(integer value: Int64) {
        let magnitude = value < 0 ? ~UInt64(bitPattern: value) : UInt64(bitPattern: value)
        self.rawValue =
            switch magnitude {
            case _ where value == 0: 8
            case _ where value == 1: 9
            case 0...0x7f: 1
            case 0...0x7fff: 2
            case 0...0x7f_ffff: 3
            case 0...0x7fff_ffff: 4
            case 0...0x7fff_ffff_ffff: 5
            default: 6
            }
    }

    /// The field's length in bytes; nil for the two types that are reserved for internal use and never occur in a file.
    @inline(__always)
    package var byteCount: Int? {
        switch rawValue {
        case 0, 8, 9: 0
        case 1...4: Int(rawValue)
        case 5: 6
        case 6, 7: 8
        case 10, 11: nil
        default: Int(exactly: (rawValue - 12) / 2)
        }
    }

    @inline(__always) package var isText: Bool { rawValue >= 13 && rawValue & 1 == 1 }
}

/// SQLite's variable-length integer: big-endian groups of seven bits, at most nine bytes, the ninth with all its eight.
///
/// Source: [Database File Format, 1.6](https://sqlite.org/fileformat2.html#varint).
package enum Varint {
    /// Decodes the integer at `offset` and advances the offset; nil when the bytes end within it.
    @inline(__always)
    package static func read(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> UInt64? {
        guard offset < bytes.count else { return nil }
        let first = bytes[offset]
        if first < 0x80 {
            offset += 1
            return UInt64(first)
        }
        return readLong(bytes, at: &offset)
    }

    private static func readLong(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> UInt64? {
        var value: UInt64 = 0
        var position = offset
        for _ in 0..<8 {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position += 1
            value = value << 7 | UInt64(byte & 0x7f)
            if byte < 0x80 {
                offset = position
                return value
            }
        }
        guard position < bytes.count else { return nil }
        offset = position + 1
        return value << 8 | UInt64(bytes[position])
    }

    package static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        if value < 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value))
            return
        }
        if value >> 56 != 0 {
            for shift in stride(from: 57, through: 8, by: -7) {
                bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)) | 0x80)
            }
            bytes.append(UInt8(truncatingIfNeeded: value))
            return
        }
        let groups = encodedLength(value)
        for group in stride(from: groups - 1, through: 1, by: -1) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(7 * group)) | 0x80)
        }
        bytes.append(UInt8(truncatingIfNeeded: value & 0x7f))
    }

    /// The number of bytes that ``append(_:to:)`` writes.
    package static func encodedLength(_ value: UInt64) -> Int {
        value >> 56 != 0 ? 9 : max(1, (64 - value.leadingZeroBitCount + 6) / 7)
    }
}
