import SQLiteConnection

/// A 64-bit hash of a row's content, where the content itself is not kept.
///
/// The hash of a row is the sum of the hashes of its columns, so that a change of one column changes it by a difference and
/// the others need not be read. Two different contents of one row have the same hash once in 2⁶⁴; only then would an update
/// be taken for none. Not seeded: it is compared within one transaction only.
enum ContentHash {
    private static let multiplier: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    static func hash(_ value: BorrowedValue, column: Int) -> UInt64 {
        let seed = UInt64(truncatingIfNeeded: column &+ 1) &* multiplier
        return switch value {
        // The types are told apart by constants that no two small numbers differ by.
        case .null: mix(seed, 0xa076_1d64_78bd_642f)
        case .integer(let value): mix(seed ^ 0xe703_7ed1_a0b4_28db, UInt64(bitPattern: value))
        case .real(let value): mix(seed ^ 0x8ebc_6af0_9c88_c6e3, value.bitPattern)
        case .text(let bytes): hash(bytes, seed: seed ^ 0x5899_65cc_7537_4cc3)
        case .blob(let bytes): hash(bytes, seed: seed ^ 0x1d8e_4e27_c47d_124f)
        }
    }

    static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        var state = mix(seed, UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            state = mix(state, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        return mix(state, rest)
    }

    /// The hash of a whole row that is kept as a record.
    static func hash(record: UnsafeRawBufferPointer) -> UInt64 {
        var sum: UInt64 = 0
        var column = 0
        BorrowedValue.forEach(inRecord: record) { field in
            sum &+= hash(field, column: column)
            column += 1
        }
        return sum
    }

    /// One to one in each argument: two values of at most eight bytes never collide.
    @inline(__always)
    static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        var hash = (state ^ word) &* multiplier
        hash ^= hash >> 32
        hash &*= 0xd6e8_feb8_6659_fd93
        return hash ^ hash >> 29
    }
}
