package import SQLiteConnection
package import WireProtocol

extension JSONWriter {
    /// A value of the database whose bytes are borrowed, written without a copy.
    @inline(__always)
    mutating func value(_ value: BorrowedValue) {
        switch value {
        case .null: null()
        case .integer(let value): integer(value)
        case .real(let value): real(value)
        case .text(let bytes): text(bytes)
        case .blob(let bytes): blob(bytes)
        }
    }
}

extension WireValue {
    package init(_ value: SQLiteValue) {
        self =
            switch value {
            case .null: .null
            case .integer(let value): .integer(value)
            case .real(let value): .real(value)
            case .text(let value): .text(value)
            case .malformedText(let bytes): .malformedText(bytes)
            case .blob(let bytes): .blob(bytes)
            }
    }
}

extension SQLiteValue {
    init(_ value: WireValue) {
        self =
            switch value {
            case .null: .null
            case .integer(let value): .integer(value)
            case .real(let value): .real(value)
            case .text(let value): .text(value)
            case .malformedText(let bytes): .malformedText(bytes)
            case .blob(let bytes): .blob(bytes)
            }
    }
}
