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

    /// The shortest form, as SQLite itself chooses it since file format 4.
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

    /// The field's length in bytes; nil for the two types that are reserved for internal use and never in a file.
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
