extension String {
    /// The text with visible replacements for everything that would move the cursor, change colours or the writing
    /// direction.
    ///
    /// The content of a database can come from others: printed unchanged, it could rewrite the lines above it.
    var printable: String {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars { result.append(scalar.printable) }
        return String(result)
    }
}

extension Unicode.Scalar {
    fileprivate var printable: Unicode.Scalar {
        switch value {
        case 0x0A: "↵"
        case 0x09: "→"
        // The Control Pictures block has a symbol for each of the others.
        case 0..<0x20: Unicode.Scalar(0x2400 + value) ?? "\u{FFFD}"
        case 0x7F: "␡"
        case 0x80..<0xA0: "\u{FFFD}"
        // Line and paragraph separator; marks, embeddings, overrides and isolates of the bidirectional algorithm.
        case 0x2028, 0x2029: "↵"
        case 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: "\u{FFFD}"
        default: self
        }
    }
}

extension String {
    /// The width of the text in cells of a terminal: East Asian wide characters and emoji take two, combining marks
    /// none.
    var displayWidth: Int {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return utf8.count }
        return reduce(0) { $0 + $1.displayWidth }
    }

    /// The text, truncated to a width in cells, with an ellipsis at the end if it was truncated.
    func truncated(toWidth width: Int) -> String {
        if displayWidth <= width { return self }
        guard width > 0 else { return "" }
        var result = ""
        var used = 0
        for character in self {
            let next = character.displayWidth
            if used + next > width - 1 { break }
            result.append(character)
            used += next
        }
        return result + "…"
    }
}

extension Character {
    /// The width of the character in cells of a terminal.
    var displayWidth: Int {
        // A sequence is drawn like its first character, except that a variation selector can select an emoji.
        guard let first = unicodeScalars.first else { return 0 }
        if unicodeScalars.contains("\u{FE0F}") { return 2 }
        return first.displayWidth
    }
}

extension Unicode.Scalar {
    fileprivate var displayWidth: Int {
        if value < 0x300 { return value == 0xAD ? 0 : 1 }
        if properties.isEmojiPresentation { return 2 }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: return Self.wideRanges.contains { $0.contains(value) } ? 2 : 1
        }
    }

    /// The blocks whose East_Asian_Width is W or F in [UAX #11](https://www.unicode.org/reports/tr11/), the emoji aside.
    private static let wideRanges: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0xA4CF, 0xA960...0xA97F,
        0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6,
        0x16FE0...0x18D08, 0x1AFF0...0x1B2FB, 0x1F200...0x1F2FF, 0x20000...0x3FFFD,
    ]
}
