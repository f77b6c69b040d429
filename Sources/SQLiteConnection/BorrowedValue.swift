import CSQLite

/// A value whose bytes still belong to SQLite: valid only within the call that passed it.
package enum BorrowedValue {
    case null
    case integer(Int64)
    case real(Double)
    /// UTF-8 as SQLite gives it, which need not be valid.
    case text(UnsafeRawBufferPointer)
    case blob(UnsafeRawBufferPointer)

    /// A copy that owns its bytes.
    package var owned: SQLiteValue {
        switch self {
        case .null: .null
        case .integer(let value): .integer(value)
        case .real(let value): .real(value)
        case .text(let bytes): SQLiteValue(textBytes: bytes)
        case .blob(let bytes): .blob([UInt8](bytes))
        }
    }

    /// A protected `sqlite3_value`, as hooks and functions get it.
    @inline(__always)
    init(_ value: OpaquePointer?) {
        switch sqlite3_value_type(value) {
        case SQLITE_INTEGER: self = .integer(sqlite3_value_int64(value))
        case SQLITE_FLOAT: self = .real(sqlite3_value_double(value))
        case SQLITE_TEXT:
            // sqlite3_value_text would copy the bytes in order to end them with a zero. Where they have to be converted, the
            // order matters: only then does the count hold.
            let bytes =
                csqlite_value_is_utf8(value) != 0
                ? sqlite3_value_blob(value) : UnsafeRawPointer(sqlite3_value_text(value))
            self = .text(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_value_bytes(value))))
        case SQLITE_BLOB:
            let bytes = sqlite3_value_blob(value)
            self = .blob(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_value_bytes(value))))
        default: self = .null
        }
    }

    /// A column of the current row.
    @inline(__always)
    init(_ statement: OpaquePointer, column: Int32) {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: self = .integer(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: self = .real(sqlite3_column_double(statement, column))
        case SQLITE_TEXT:
            let bytes = sqlite3_column_text(statement, column)
            self = .text(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column))))
        case SQLITE_BLOB:
            let bytes = sqlite3_column_blob(statement, column)
            self = .blob(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column))))
        default: self = .null
        }
    }
}
