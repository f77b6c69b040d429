/// Cuts SQL into tokens as SQLite does, in one pass over its UTF-8 bytes, and keeps only what tells where statements end.
///
/// Source: `sqlite3GetToken`, described under [Keywords](https://sqlite.org/lang_keywords.html),
/// [Comments](https://sqlite.org/lang_comment.html) and [Parameters](https://sqlite.org/lang_expr.html#varparam).
struct SQLTokens {
    enum Token: Hashable {
        case semicolon
        /// A keyword, a name without quotes, or a number: the range of its bytes.
        case word(Range<Int>)
        /// Anything else; white space and comments are no tokens.
        case other
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    /// Where the next token is looked for.
    private(set) var index: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, from index: Int = 0) {
        self.bytes = bytes
        self.index = index
    }

    mutating func next() -> Token? {
        while skipInsignificant() {}
        guard index < bytes.count else { return nil }
        let start = index
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: ";"):
            return .semicolon
        case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"):
            // A doubled quote reads as one string after the other, which ends at the same place.
            skip(behind: byte)
        case UInt8(ascii: "["):
            skip(behind: UInt8(ascii: "]"))
        case UInt8(ascii: "$"), UInt8(ascii: "@"), UInt8(ascii: ":"), UInt8(ascii: "#"):
            skipVariable()
        case _ where Self.isWord(byte):
            skipWord()
            return .word(start..<index)
        default:
            break
        }
        return .other
    }

    /// The word in lower case, if it can be one that matters; those are short.
    func keyword(_ range: Range<Int>) -> String {
        guard range.count <= 11 else { return "" }
        return String(decoding: bytes[range].map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// Moves to the next token that is no semicolon.
    mutating func skipToStatement() {
        while index < bytes.count {
            if skipInsignificant() { continue }
            guard bytes[index] == UInt8(ascii: ";") else { return }
            index += 1
        }
    }

    // MARK: Parts

    /// Skips white space or one comment; false when there is neither.
    private mutating func skipInsignificant() -> Bool {
        switch byte(at: index) {
        case 0x20, 0x09, 0x0a, 0x0c, 0x0d:
            index += 1
        case UInt8(ascii: "-") where byte(at: index + 1) == UInt8(ascii: "-"):
            while index < bytes.count, bytes[index] != 0x0a { index += 1 }
        case UInt8(ascii: "/") where byte(at: index + 1) == UInt8(ascii: "*") && byte(at: index + 2) != nil:
            // From the third byte on: `/*/` does not end itself.
            index += 3
            while index < bytes.count, bytes[index - 1] != UInt8(ascii: "*") || bytes[index] != UInt8(ascii: "/") {
                index += 1
            }
            index = min(index + 1, bytes.count)
        case 0xef where byte(at: index + 1) == 0xbb && byte(at: index + 2) == 0xbf:
            // A byte order mark.
            index += 3
        default:
            return false
        }
        return true
    }

    /// A name behind its prefix. As in Tcl, `$a::b(…)` is one, whatever is between the parentheses but white space.
    private mutating func skipVariable() {
        let start = index
        while let next = byte(at: index) {
            if Self.isWord(next) {
                index += 1
            } else if next == UInt8(ascii: ":"), byte(at: index + 1) == UInt8(ascii: ":") {
                index += 2
            } else {
                guard next == UInt8(ascii: "("), bytes[start..<index].contains(where: Self.isWord) else { return }
                repeat { index += 1 } while byte(at: index).map { !Self.endsSuffix($0) } ?? false
                if byte(at: index) == UInt8(ascii: ")") { index += 1 }
                return
            }
        }
    }

    private mutating func skipWord() {
        while let next = byte(at: index), Self.isWord(next) { index += 1 }
    }

    private mutating func skip(behind end: UInt8) {
        while index < bytes.count, bytes[index] != end { index += 1 }
        index = min(index + 1, bytes.count)
    }

    private func byte(at index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private static func endsSuffix(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ")") || byte == 0x20 || (0x09...0x0d).contains(byte) || byte == 0
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$")
            || byte >= 0x80
    }
}
