/// The name of a table, column, index or trigger, compared by its bytes.
///
/// SQLite keeps "é" as one scalar and "é" as two apart, so both can name a table of one database; Swift's `String` calls them
/// equal. Names that SQLite reports are always spelled as stored, so case needs no folding here.
package struct SQLName: Sendable {
    package let string: String

    package init(_ string: String) { self.string = string }

    /// The name as an SQL identifier.
    package var quoted: String {
        var result = "\""
        for scalar in string.unicodeScalars {
            result.unicodeScalars.append(scalar)
            if scalar == "\"" { result.unicodeScalars.append(scalar) }
        }
        result.append("\"")
        return result
    }
}

extension SQLName: Hashable {
    package static func == (left: SQLName, right: SQLName) -> Bool { left.string.isIdentical(to: right.string) }

    package func hash(into hasher: inout Hasher) {
        for byte in string.utf8 { hasher.combine(byte) }
        hasher.combine(0xff as UInt8)
    }
}

extension SQLName: Comparable {
    package static func < (left: SQLName, right: SQLName) -> Bool {
        left.string.utf8.lexicographicallyPrecedes(right.string.utf8)
    }
}

extension String {
    /// Equal byte for byte: what `==` is not.
    package func isIdentical(to other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
