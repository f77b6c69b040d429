import SQLiteConnection

/// The leading fields of a record: the primary key of a `WITHOUT ROWID` table's row.
///
/// Borrows the record's bytes. Keys that SQLite treats as equal but that are different values, such as two spellings
/// under `COLLATE NOCASE`, are different here: a row that changes from one to the other is a deletion and an insertion.
/// An integer has several encodings, and all are equal: `ALTER TABLE … DROP COLUMN` writes 0 and 1 with a byte of their
/// own, which SQLite otherwise omits.
package struct RecordKey {
    /// The serial types of the key's fields, as in the header.
    private let types: UnsafeRawBufferPointer
    private let values: UnsafeRawBufferPointer

    /// Nil when `payload`, which may be only the beginning of a record, does not contain the whole key, or is
    /// malformed.
    @inline(__always)
    package init?(_ payload: UnsafeRawBufferPointer, fieldCount: Int) {
        var offset = 0
        guard let size = Varint.read(payload, at: &offset), size <= UInt64(payload.count) else { return nil }
        let typesStart = offset
        let end = Int(size)
        var valuesEnd = end
        for _ in 0..<fieldCount {
            guard let raw = Varint.read(payload, at: &offset), offset <= end,
                let length = SerialType(rawValue: raw).byteCount, length <= payload.count - valuesEnd
            else { return nil }
            valuesEnd += length
        }
        types = UnsafeRawBufferPointer(rebasing: payload[typesStart..<offset])
        values = UnsafeRawBufferPointer(rebasing: payload[end..<valuesEnd])
    }

    package func hash(into hasher: inout Hasher) {
        var fields = Fields(self)
        while let field = fields.next() {
            switch field {
            case .integer(let value):
                hasher.combine(1)
                hasher.combine(value)
            case .real(let value):
                hasher.combine(2)
                hasher.combine(value.bitPattern)
            case .text(let bytes):
                hasher.combine(3)
                hasher.combine(bytes.count)
                hasher.combine(bytes: bytes)
            case .blob(let bytes):
                hasher.combine(4)
                hasher.combine(bytes.count)
                hasher.combine(bytes: bytes)
            case .null:
                hasher.combine(0)
            }
        }
    }

    package func isEqual(to other: RecordKey) -> Bool {
        if Self.areSame(types, other.types), Self.areSame(values, other.values) { return true }
        var fields = Fields(self)
        var others = Fields(other)
        while let field = fields.next() {
            guard let other = others.next(), Self.areSame(field, other) else { return false }
        }
        return others.next() == nil
    }

    private static func areSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        one.count == other.count && bytesAreEqual(one, 0, other, 0, one.count)
    }

    private static func areSame(_ one: Field, _ other: Field) -> Bool {
        switch (one, other) {
        case (.null, .null): true
        case (.integer(let one), .integer(let other)): one == other
        case (.real(let one), .real(let other)): one.bitPattern == other.bitPattern
        case (.text(let one), .text(let other)): areSame(one, other)
        case (.blob(let one), .blob(let other)): areSame(one, other)
        default: false
        }
    }

    /// Reads the fields one by one; the initializer of the key checked that all are complete.
    private struct Fields {
        private let key: RecordKey
        private var typeOffset = 0
        private var valueOffset = 0

        init(_ key: RecordKey) { self.key = key }

        mutating func next() -> Field? {
            guard let raw = Varint.read(key.types, at: &typeOffset) else { return nil }
            let type = SerialType(rawValue: raw)
            guard let length = type.byteCount else { return nil }
            let bytes = UnsafeRawBufferPointer(rebasing: key.values[valueOffset..<valueOffset + length])
            valueOffset += length
            return Field(type, bytes)
        }
    }
}
