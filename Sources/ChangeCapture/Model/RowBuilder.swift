package import SQLiteConnection

/// Collects values into a ``Row``. Reuse one builder for many rows: it keeps its buffers.
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

    /// Appends TEXT that is UTF-8, or that SQLite would give as such.
    package mutating func append(text bytes: UnsafeRawBufferPointer) {
        append(type: .text(byteCount: bytes.count))
        body.append(contentsOf: bytes)
    }

    package mutating func append(blob bytes: UnsafeRawBufferPointer) {
        append(type: .blob(byteCount: bytes.count))
        body.append(contentsOf: bytes)
    }

    /// The row of everything appended since the last call; the builder is empty again.
    package mutating func finish() -> Row {
        // The header's size counts its own varint, which can grow by being counted.
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
