package import SQLiteConnection

/// One field of a record, its bytes borrowed: valid only within the call that passed it.
///
/// The text of a field has the encoding of its record: that of the database in a file, UTF-8 within a ``Row``.
package typealias Field = BorrowedValue

extension BorrowedValue {
    /// Decodes the field of the given type; nil when the type is reserved or the bytes are of another length.
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

    /// Calls `body` with every field of a record in order; stops at the first that is not whole.
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
