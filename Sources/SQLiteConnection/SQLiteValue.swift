/// A value in one of SQLite's storage classes, without loss: what `sqlite3_column_*` reports and `sqlite3_bind_*` takes.
///
/// Source: [Datatypes in SQLite](https://sqlite.org/datatype3.html#storage_classes_and_datatypes).
public enum SQLiteValue: Hashable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])
    /// TEXT whose bytes are not UTF-8. SQLite stores whatever it was given; a `String` would silently repair it.
    case malformedText([UInt8])

    /// TEXT from raw bytes: `text` when they are UTF-8, else `malformedText`.
    package init(textBytes bytes: UnsafeRawBufferPointer) {
        if let string = String(validating: bytes, as: UTF8.self) {
            self = .text(string)
        } else {
            self = .malformedText([UInt8](bytes))
        }
    }
}
