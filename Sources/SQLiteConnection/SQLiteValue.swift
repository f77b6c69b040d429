import CSQLite

/// A value in one of SQLite's storage classes, without loss: what `sqlite3_column_*` reports and `sqlite3_bind_*` takes.
///
/// Source: [Datatypes in SQLite](https://sqlite.org/datatype3.html#storage_classes_and_datatypes).
public enum SQLiteValue: Hashable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])
    /// TEXT whose bytes are not UTF-8. SQLite stores any bytes; a `String` would silently repair them.
    case malformedText([UInt8])

    /// TEXT from raw bytes: `text` when they are UTF-8, else `malformedText`.
    package init(textBytes bytes: UnsafeRawBufferPointer) {
        if let string = String(validating: bytes, as: UTF8.self) {
            self = .text(string)
        } else {
            self = .malformedText([UInt8](bytes))
        }
    }

    /// The approximate size of the value in memory or in a message.
    package var byteCount: Int {
        switch self {
        case .null: 4
        case .integer, .real: 8
        case .text(let text): text.utf8.count
        case .malformedText(let bytes), .blob(let bytes): bytes.count
        }
    }
}

extension SQLiteValue {
    /// TEXT is compared by its bytes, as SQLite does: `é` in one character and in two are different values, which Swift's
    /// strings treat as equal.
    public static func == (left: SQLiteValue, right: SQLiteValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.integer(let left), .integer(let right)): left == right
        case (.real(let left), .real(let right)): left == right
        case (.text(let left), .text(let right)): left.utf8.elementsEqual(right.utf8)
        case (.blob(let left), .blob(let right)): left == right
        case (.malformedText(let left), .malformedText(let right)): left == right
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .integer(let value): hasher.combine(value)
        case .real(let value): hasher.combine(value)
        case .text(var value): value.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        case .blob(let bytes), .malformedText(let bytes): hasher.combine(bytes)
        }
    }
}

/// A value whose bytes belong to SQLite: valid only within the call that passed it.
package enum BorrowedValue {
    case null
    case integer(Int64)
    case real(Double)
    /// UTF-8 as SQLite provides it, which need not be valid.
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

    /// A protected `sqlite3_value`, as hooks and functions receive it.
    @inline(__always)
    init(_ value: OpaquePointer?) {
        switch sqlite3_value_type(value) {
        case SQLITE_INTEGER: self = .integer(sqlite3_value_int64(value))
        case SQLITE_FLOAT: self = .real(sqlite3_value_double(value))
        case SQLITE_TEXT:
            // sqlite3_value_text would copy the bytes in order to end them with a zero. Where the bytes must be
            // converted, the order of the two calls matters: only then is the count right.
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
