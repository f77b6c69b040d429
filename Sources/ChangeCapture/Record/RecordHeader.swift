/// The serial types and positions of a record's fields. Reuse one for many records: it keeps its memory.
///
/// Source: [Record Format](https://sqlite.org/fileformat2.html#record_format).
package struct RecordHeader {
    package struct Position {
        package var type: SerialType
        /// Within the payload.
        package var offset: Int
    }

    package private(set) var fields: [Position] = []

    package init() {}

    /// Reads the header of a record; false when it is malformed, has a reserved type, or when the body is shorter than it
    /// says.
    @inline(__always)
    package mutating func parse(_ payload: UnsafeRawBufferPointer) -> Bool {
        fields.removeAll(keepingCapacity: true)
        var offset = 0
        guard let size = Varint.read(payload, at: &offset), size <= UInt64(payload.count) else { return false }
        let end = Int(size)
        // The header's own length is part of it.
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
