/// A token of SQL with its position in the text.
struct SQLToken: Hashable {
    enum Kind: Hashable {
        /// A keyword or a name without quotes.
        case word
        /// A name in double quotes, backquotes or brackets. SQLite treats one in double quotes as a string when no
        /// column has the name.
        case quotedName
        case string
        case number
        case blob
        case parameter
        /// A single character, or an operator of several.
        case symbol
    }

    var kind: Kind
    /// The range in UTF-8 bytes.
    var range: Range<Int>
    /// The number of parentheses open around it; an opening one counts from the next token on.
    var depth: Int
    /// A word in upper case, a name without its quotes, a string's content; otherwise the original text.
    var text: String
}

/// Splits SQL into tokens as SQLite does.
///
/// Only for SQL that SQLite has compiled: characters that cannot be part of a statement are skipped.
///
/// Source: `sqlite3GetToken`, described under [Keywords](https://sqlite.org/lang_keywords.html),
/// [Comments](https://sqlite.org/lang_comment.html) and [Parameters](https://sqlite.org/lang_expr.html#varparam).
struct SQLLexer {
    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0

    static func tokens(_ sql: String) -> [SQLToken] {
        var lexer = SQLLexer(bytes: Array(sql.utf8))
        var tokens: [SQLToken] = []
        while let token = lexer.next() { tokens.append(token) }
        return tokens
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func next() -> SQLToken? {
        skipSpace()
        guard let byte = peek() else { return nil }
        let start = index
        index += 1
        switch byte {
        case UInt8(ascii: "'"):
            skipQuoted(byte)
            return token(.string, start, text: unquoted(start, byte))
        case UInt8(ascii: "\""), UInt8(ascii: "`"):
            skipQuoted(byte)
            return token(.quotedName, start, text: unquoted(start, byte))
        case UInt8(ascii: "["):
            while let next = peek(), next != UInt8(ascii: "]") { index += 1 }
            index = min(index + 1, bytes.count)
            let end = max(start + 1, index - 1)
            return token(.quotedName, start, text: String(decoding: bytes[start + 1..<end], as: UTF8.self))
        case UInt8(ascii: "x"), UInt8(ascii: "X"):
            guard peek() == UInt8(ascii: "'") else { return word(start) }
            index += 1
            skipQuoted(UInt8(ascii: "'"))
            return token(.blob, start)
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            skipNumber()
            return token(.number, start)
        case UInt8(ascii: ".") where peek().map(Self.isDigit) == true:
            skipNumber()
            return token(.number, start)
        case UInt8(ascii: "?"):
            while let next = peek(), Self.isDigit(next) { index += 1 }
            return token(.parameter, start)
        case UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "$"), UInt8(ascii: "#"):
            skipVariable()
            return token(.parameter, start)
        case UInt8(ascii: "("):
            depth += 1
            return SQLToken(kind: .symbol, range: start..<index, depth: depth - 1, text: "(")
        case UInt8(ascii: ")"):
            depth -= 1
            return token(.symbol, start)
        case _ where Self.isWord(byte):
            return word(start)
        default:
            if let next = peek(), Self.operators.contains([byte, next]) {
                index += 1
                if byte == UInt8(ascii: "-"), peek() == UInt8(ascii: ">") { index += 1 }
            }
            return token(.symbol, start)
        }
    }

    private static let operators: Set<[UInt8]> = Set(
        ["||", "<=", ">=", "<>", "!=", "==", "<<", ">>", "->"].map { Array($0.utf8) }
    )

    private func token(_ kind: SQLToken.Kind, _ start: Int, text: String? = nil) -> SQLToken {
        let text = text ?? String(decoding: bytes[start..<index], as: UTF8.self)
        return SQLToken(kind: kind, range: start..<index, depth: depth, text: text)
    }

    private mutating func word(_ start: Int) -> SQLToken {
        while let next = peek(), Self.isWord(next) { index += 1 }
        return token(.word, start, text: String(decoding: bytes[start..<index].map(Self.upper), as: UTF8.self))
    }

    // MARK: Parts

    private func peek(_ offset: Int = 0) -> UInt8? { index + offset < bytes.count ? bytes[index + offset] : nil }

    private mutating func skipSpace() {
        while let byte = peek() {
            switch byte {
            case 0x20, 0x09, 0x0a, 0x0c, 0x0d:
                index += 1
            case UInt8(ascii: "-") where peek(1) == UInt8(ascii: "-"):
                while let next = peek(), next != 0x0a { index += 1 }
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*") && peek(2) != nil:
                index += 3
                while index < bytes.count, bytes[index - 1] != UInt8(ascii: "*") || bytes[index] != UInt8(ascii: "/") {
                    index += 1
                }
                index = min(index + 1, bytes.count)
            case 0xef where peek(1) == 0xbb && peek(2) == 0xbf:
                index += 3
            default:
                return
            }
        }
    }

    /// Skips to the end of a string; a doubled quote is part of it.
    private mutating func skipQuoted(_ quote: UInt8) {
        while index < bytes.count {
            if bytes[index] == quote {
                guard peek(1) == quote else { break }
                index += 1
            }
            index += 1
        }
        index = min(index + 1, bytes.count)
    }

    private func unquoted(_ start: Int, _ quote: UInt8) -> String {
        let end = max(start + 1, index - 1)
        var content: [UInt8] = []
        var position = start + 1
        while position < end {
            content.append(bytes[position])
            position += bytes[position] == quote ? 2 : 1
        }
        return String(decoding: content, as: UTF8.self)
    }

    private mutating func skipNumber() {
        while let next = peek() {
            let isExponentSign =
                (next == UInt8(ascii: "+") || next == UInt8(ascii: "-")) && bytes[index - 1] | 0x20 == UInt8(ascii: "e")
            guard Self.isWord(next) || next == UInt8(ascii: ".") || isExponentSign else { return }
            index += 1
        }
    }

    /// A name after its prefix. As in Tcl, `$a::b(…)` is one token.
    private mutating func skipVariable() {
        while let next = peek() {
            if Self.isWord(next) {
                index += 1
            } else if next == UInt8(ascii: ":"), peek(1) == UInt8(ascii: ":") {
                index += 2
            } else if next == UInt8(ascii: "("), bytes[index - 1] != UInt8(ascii: ":") {
                while let inner = peek(), inner != UInt8(ascii: ")"), inner != 0x20 { index += 1 }
                if peek() == UInt8(ascii: ")") { index += 1 }
                return
            } else {
                return
            }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    private static func isWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$")
            || byte >= 0x80
    }

    private static func upper(_ byte: UInt8) -> UInt8 { byte &- 0x61 < 26 ? byte & 0xdf : byte }
}
