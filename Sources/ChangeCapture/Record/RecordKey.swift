/// The leading fields of a record as they are stored: the primary key of a `WITHOUT ROWID` table's row.
///
/// Borrows the record's bytes. Keys that SQLite holds for equal but stores differently, such as two spellings under
/// `COLLATE NOCASE`, are different here: a row that changes from one to the other is a deletion and an insertion.
package struct RecordKey {
    /// Serial types of the key's fields, as in the header.
    private let types: UnsafeRawBufferPointer
    private let values: UnsafeRawBufferPointer

    /// Nil when `payload`, which may be only the beginning of a record, does not reach so far, or is malformed.
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
        hasher.combine(bytes: types)
        hasher.combine(bytes: values)
    }

    package func isEqual(to other: RecordKey) -> Bool {
        types.count == other.types.count && values.count == other.values.count
            && bytesAreEqual(types, 0, other.types, 0, types.count)
            && bytesAreEqual(values, 0, other.values, 0, values.count)
    }
}
