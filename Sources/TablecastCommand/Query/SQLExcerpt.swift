/// The line of a script where an error is, with a caret under the place.
struct SQLExcerpt: Sendable, Hashable {
    /// The line, fit to be printed, cut down around the place where it is long.
    var line: String
    /// Cells of the terminal before the caret.
    var caretColumn: Int
    /// From one.
    var lineNumber: Int
    /// Whether the script has more than this line.
    var isPartOfMore: Bool

    /// - Parameter offset: In bytes of UTF-8, as SQLite counts.
    /// - Returns: nil where the offset lies outside of the script.
    init?(sql: String, offset: Int, width: Int) {
        let bytes = Array(sql.utf8)
        guard offset >= 0, offset <= bytes.count else { return nil }
        let lineFeed = UInt8(ascii: "\n")
        let start = bytes[..<offset].lastIndex(of: lineFeed).map { $0 + 1 } ?? 0
        let end = bytes[offset...].firstIndex(of: lineFeed) ?? bytes.count
        lineNumber = bytes[..<start].count { $0 == lineFeed } + 1
        isPartOfMore = start > 0 || end < bytes.count
        let before = String(decoding: bytes[start..<offset], as: UTF8.self).printable
        let after = String(decoding: bytes[offset..<end], as: UTF8.self).printable
        let visible = Self.suffix(before, width: max(width / 2, 10))
        caretColumn = visible.displayWidth
        line = visible + after.truncated(toWidth: max(width - visible.displayWidth, 10))
    }

    private static func suffix(_ text: String, width: Int) -> String {
        guard text.displayWidth > width else { return text }
        return "…" + String(String(text.reversed()).prefix(width - 1).reversed())
    }

    func rendered(_ palette: Palette) -> String {
        let prefix = isPartOfMore ? "line \(lineNumber): " : "  "
        let indent = String(repeating: " ", count: prefix.count + caretColumn)
        return palette(.dim, prefix) + line + "\n" + indent + palette(.boldRed, "^")
    }
}
