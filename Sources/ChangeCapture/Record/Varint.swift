/// SQLite's variable-length integer: big-endian groups of seven bits, at most nine bytes, the ninth with all its eight.
///
/// Source: [Database File Format, 1.6](https://sqlite.org/fileformat2.html#varint).
package enum Varint {
    /// Decodes the integer at `offset`, which moves past it; nil when the bytes end within it.
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
