import SQLiteConnection

/// The encoding of a database's TEXT, chosen once for the whole file.
///
/// Source: [Text encoding](https://sqlite.org/fileformat2.html#enc).
package enum TextEncoding: UInt32, Hashable, Sendable {
    case utf8 = 1
    case utf16LittleEndian = 2
    case utf16BigEndian = 3

    /// Appends `text` to `output` as SQLite itself converts it for `sqlite3_column_text`.
    ///
    /// SQLite combines any unit after a surrogate with it, writes a surrogate at the very end as three bytes, and drops
    /// an odd last byte; a client's copy must read the same.
    package func appendUTF8(_ text: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        guard self != .utf8 else {
            output.append(contentsOf: text)
            return
        }
        let end = text.count & ~1
        var offset = 0
        while offset < end {
            var scalar = unit(text, at: offset)
            offset += 2
            if scalar & 0xf800 == 0xd800, offset < end {
                let second = unit(text, at: offset)
                offset += 2
                scalar = 0x10000 + ((scalar & 0x3ff) << 10) + (second & 0x3ff)
            }
            Self.append(scalar, to: &output)
        }
    }

    private func unit(_ text: UnsafeRawBufferPointer, at offset: Int) -> UInt32 {
        let first = UInt32(text[offset])
        let second = UInt32(text[offset + 1])
        return self == .utf16BigEndian ? first << 8 | second : second << 8 | first
    }

    private static func append(_ scalar: UInt32, to output: inout [UInt8]) {
        func continuation(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(scalar >> shift & 0x3f) }
        switch scalar {
        case 0..<0x80:
            output.append(UInt8(scalar))
        case 0x80..<0x800:
            output.append(0xc0 | UInt8(scalar >> 6))
            output.append(continuation(0))
        case 0x800..<0x10000:
            output.append(0xe0 | UInt8(scalar >> 12))
            output.append(continuation(6))
            output.append(continuation(0))
        default:
            output.append(0xf0 | UInt8(scalar >> 18 & 0x07))
            output.append(continuation(12))
            output.append(continuation(6))
            output.append(continuation(0))
        }
    }
}

extension TextEncoding {
    /// The encoding of the connection's main database.
    static func read(from connection: Connection) throws(SQLiteError) -> TextEncoding {
        switch try connection.query("PRAGMA encoding").first?.first {
        case .text("UTF-16le"): .utf16LittleEndian
        case .text("UTF-16be"): .utf16BigEndian
        default: .utf8
        }
    }
}

/// The rules for [column affinity](https://sqlite.org/datatype3.html#determination_of_column_affinity).
package enum Affinity {
    /// Whether a column declared with this type has REAL affinity.
    package static func isReal(declared type: String) -> Bool {
        for name in ["INT", "CHAR", "CLOB", "TEXT", "BLOB"] as [StaticString] where contains(name, type) {
            return false
        }
        return contains("REAL", type) || contains("FLOA", type) || contains("DOUB", type)
    }

    /// Whether a column declared with this type has INTEGER affinity: it stores a real that equals an integer as that
    /// integer.
    package static func isInteger(declared type: String) -> Bool { contains("INT", type) }

    private static func contains(_ name: StaticString, _ type: String) -> Bool {
        // SQLite folds only the case of ASCII letters.
        let bytes = Array(type.utf8)
        return name.withUTF8Buffer { name in
            guard bytes.count >= name.count else { return false }
            return (0...bytes.count - name.count).contains { start in
                SQLName.areEqualIgnoringCase(bytes[start..<start + name.count], name)
            }
        }
    }
}
