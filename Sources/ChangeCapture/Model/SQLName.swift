import SQLiteConnection

/// The name of a table, column, index or trigger, compared by its bytes.
///
/// SQLite distinguishes "é" as one scalar from "é" as two, so both can name a table of one database; Swift's `String`
/// treats them as equal. Names that SQLite reports are spelled as stored, so case is folded only where `ALTER TABLE`
/// could have changed it.
package struct SQLName: Sendable {
    package let string: String

    package init(_ string: String) { self.string = string }

    /// The name as an SQL identifier.
    package var quoted: String { string.quotedAsIdentifier }
}

extension SQLName {
    /// Whether SQLite reserves the name.
    package var isReserved: Bool { Self.areEqualIgnoringCase(string.utf8.prefix(7), "sqlite_".utf8) }

    /// Compares as SQLite compares identifiers: ignores the case of ASCII letters.
    package static func areEqualIgnoringCase(_ left: some Sequence<UInt8>, _ right: some Sequence<UInt8>) -> Bool {
        left.elementsEqual(right) { folded($0) == folded($1) }
    }

    /// The same value for every name that SQLite treats as this one.
    package var caseFolded: SQLName {
        SQLName(String(decoding: string.utf8.map { Self.folded($0) }, as: UTF8.self))
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}

extension SQLName: Hashable {
    package static func == (left: SQLName, right: SQLName) -> Bool { left.string.isIdentical(to: right.string) }

    package func hash(into hasher: inout Hasher) {
        let isDone: Void? = string.utf8.withContiguousStorageIfAvailable { bytes in
            hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
        }
        if isDone == nil { for byte in string.utf8 { hasher.combine(byte) } }
        hasher.combine(0xff as UInt8)
    }
}

extension SQLName: Comparable {
    package static func < (left: SQLName, right: SQLName) -> Bool {
        left.string.utf8.lexicographicallyPrecedes(right.string.utf8)
    }
}

extension String {
    /// Compares byte by byte, unlike `==`.
    package func isIdentical(to other: String) -> Bool {
        // This runs for every row:
        let isEqual = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right in
                left.count == right.count
                    && bytesAreEqual(UnsafeRawBufferPointer(left), 0, UnsafeRawBufferPointer(right), 0, left.count)
            }
        }
        return (isEqual ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}
