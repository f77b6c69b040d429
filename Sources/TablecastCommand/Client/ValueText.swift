import WireProtocol

/// Values of the database as text.
enum ValueText {
    /// The number of a blob's bytes that are displayed.
    static let maxShownBlobBytes = 16

    /// The value as a cell of a table.
    static func cell(_ value: WireValue) -> Cell {
        switch value {
        case .null: Cell(.null, "NULL")
        case .integer(let value): Cell(.number, String(value))
        case .real(let value): Cell(.number, real(value))
        case .text(let value): Cell(.text, value)
        case .malformedText(let bytes): Cell(.bytes, "not UTF-8: " + shortened(bytes))
        case .blob(let bytes): Cell(.bytes, shortened(bytes))
        }
    }

    /// The value as an SQL literal, which distinguishes `'1'` from `1`; a long one is truncated.
    static func literal(_ value: WireValue, maxWidth: Int = 60) -> String {
        switch value {
        case .text(let value):
            "'"
                + value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''").printable
                .truncated(toWidth: maxWidth) + "'"
        default: cell(value).text
        }
    }

    /// The value as a field of comma-separated values; nil is NULL.
    static func field(_ value: WireValue) -> String? {
        switch value {
        case .null: nil
        case .integer(let value): String(value)
        case .real(let value): real(value)
        case .text(let value): value
        case .malformedText(let bytes), .blob(let bytes): hexadecimal(bytes)
        }
    }

    /// In SQLite's format, with more digits when they are needed to parse the same number again.
    private static func real(_ value: Double) -> String {
        if value == .infinity { return "Inf" }
        if value == -.infinity { return "-Inf" }
        return "\(value)"
    }

    private static func shortened(_ bytes: [UInt8]) -> String {
        guard bytes.count > maxShownBlobBytes else { return hexadecimal(bytes[...]) }
        return hexadecimal(bytes.prefix(maxShownBlobBytes)) + "… (\(Figures.grouped(bytes.count)) bytes)"
    }

    /// `x'00ff'`
    private static func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
        var text = "x'"
        for byte in bytes {
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
        }
        return text + "'"
    }
}
