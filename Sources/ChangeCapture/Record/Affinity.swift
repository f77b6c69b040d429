/// The rules for [column affinity](https://sqlite.org/datatype3.html#determination_of_column_affinity).
package enum Affinity {
    /// Whether a column declared with this type has REAL affinity.
    package static func isReal(declared type: String) -> Bool {
        // SQLite folds the case of ASCII letters alone.
        let bytes = Array(type.utf8)
        func contains(_ name: StaticString) -> Bool {
            name.withUTF8Buffer { name in
                guard bytes.count >= name.count else { return false }
                return (0...bytes.count - name.count).contains { start in
                    SQLName.areEqualIgnoringCase(bytes[start..<start + name.count], name)
                }
            }
        }
        if contains("INT") || contains("CHAR") || contains("CLOB") || contains("TEXT") || contains("BLOB") {
            return false
        }
        return contains("REAL") || contains("FLOA") || contains("DOUB")
    }
}
