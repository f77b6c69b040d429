/// What a script reveals before it is compiled: the apparent number of statements and how each begins.
///
/// Later statements may need what earlier ones create, so a script cannot be compiled as a whole. The outline is a hint
/// that routes a query and decides how to wrap it; `sqlite3_stmt_readonly` determines whether a statement writes. The
/// rules for the bodies of triggers are those of [sqlite3_complete](https://sqlite.org/c3ref/complete.html).
package struct ScriptOutline: Hashable, Sendable {
    enum Verb: Hashable, Sendable {
        case begin
        /// COMMIT, END, ROLLBACK.
        case end
        /// SAVEPOINT, RELEASE, ROLLBACK TO.
        case savepoint
        case vacuum
        case create
        case pragma
        /// SELECT, VALUES, EXPLAIN.
        case read
        /// WITH and all other statements, which may write or only read.
        case unknown
        case write
    }

    private(set) var verbs: [Verb] = []

    var statementCount: Int { verbs.count }
    var controlsTransactions: Bool { verbs.contains { $0 == .begin || $0 == .end || $0 == .savepoint } }
    package var begins: Bool { verbs.first == .begin }
    package var ends: Bool { verbs.contains(.end) }
    /// RELEASE commits at the outermost savepoint.
    package var mayEndTransaction: Bool { verbs.contains { $0 == .end || $0 == .savepoint } }
    /// Whether a transaction can be open behind the script because of it.
    package var mayLeaveTransactionOpen: Bool {
        let last = verbs.last { $0 == .begin || $0 == .end || $0 == .savepoint }
        return last == .begin || last == .savepoint
    }
    /// False when it may turn out to be read-only.
    var surelyWrites: Bool { verbs.contains { $0 != .read && $0 != .pragma && $0 != .unknown } }
    /// False when it may turn out to need the writer.
    var surelyReads: Bool { verbs.allSatisfy { $0 == .read } }

    /// Takes time proportional to the length of the SQL, whatever it contains.
    package init(_ sql: String) {
        var sql = sql
        verbs = sql.withUTF8 { Self.verbs(in: $0) }
    }

    private static func verbs(in bytes: UnsafeBufferPointer<UInt8>) -> [Verb] {
        var tokens = SQLTokens(bytes)
        var verbs: [Verb] = []
        var place = Place.start
        while let token = tokens.next() {
            if place == .start, token != .semicolon { verbs.append(verb(token, tokens)) }
            place.move(past: token, tokens)
            if place == .savepoint { verbs[verbs.count - 1] = .savepoint }
        }
        return verbs
    }

    private static func verb(_ token: SQLTokens.Token, _ tokens: SQLTokens) -> Verb {
        guard case .word(let word) = token else { return .unknown }
        return switch tokens.keyword(word) {
        case "begin": .begin
        case "commit", "end", "rollback": .end
        case "savepoint", "release": .savepoint
        case "vacuum": .vacuum
        case "create": .create
        case "pragma": .pragma
        case "insert", "update", "delete", "replace", "drop", "alter", "reindex", "analyze", "attach", "detach":
            .write
        case "select", "values", "explain": .read
        default: .unknown
        }
    }

    /// The position of a token within a statement, as far as the statement's end depends on it.
    private enum Place {
        case start
        case statement
        /// After ROLLBACK, optionally with TRANSACTION.
        case rollback
        /// After ROLLBACK TO.
        case savepoint
        /// After EXPLAIN, optionally with QUERY PLAN.
        case explain
        /// After CREATE, optionally with TEMP.
        case create
        case trigger
        /// After a semicolon within a trigger.
        case triggerStatement
        /// After the END that follows such a semicolon.
        case triggerEnd

        mutating func move(past token: SQLTokens.Token, _ tokens: SQLTokens) {
            switch self {
            case .statement, .savepoint:
                self = token == .semicolon ? .start : .statement
            case .start, .explain, .create, .rollback:
                self = afterBeginning(token, tokens)
            case .trigger:
                if token == .semicolon { self = .triggerStatement }
            case .triggerStatement:
                guard token != .semicolon else { return }
                self = Self.keyword(token, tokens) == "end" ? .triggerEnd : .trigger
            case .triggerEnd:
                self = token == .semicolon ? .start : .trigger
            }
        }

        private func afterBeginning(_ token: SQLTokens.Token, _ tokens: SQLTokens) -> Place {
            guard token != .semicolon else { return .start }
            return switch (self, Self.keyword(token, tokens)) {
            case (.start, "explain"): .explain
            case (.explain, "query"), (.explain, "plan"): .explain
            case (.start, "rollback"), (.rollback, "transaction"): .rollback
            case (.rollback, "to"): .savepoint
            case (.start, "create"), (.explain, "create"): .create
            case (.create, "temp"), (.create, "temporary"): .create
            case (.create, "trigger"): .trigger
            default: .statement
            }
        }

        private static func keyword(_ token: SQLTokens.Token, _ tokens: SQLTokens) -> String? {
            if case .word(let word) = token { tokens.keyword(word) } else { nil }
        }
    }
}

extension ScriptOutline {
    /// The first byte after white space, comments and semicolons, as a UTF-8 offset.
    static func firstSignificantByte(of sql: String, from offset: Int) -> Int {
        var sql = sql
        return sql.withUTF8 { bytes in
            var tokens = SQLTokens(bytes, from: offset)
            tokens.skipToStatement()
            return tokens.index
        }
    }

    /// A statement without EXPLAIN or EXPLAIN QUERY PLAN before it.
    static func explained(_ sql: String) -> String {
        var sql = sql
        let start = sql.withUTF8 { bytes in
            var tokens = SQLTokens(bytes)
            tokens.skipToStatement()
            var start = tokens.index
            while case .word(let word)? = tokens.next() {
                guard ["explain", "query", "plan"].contains(tokens.keyword(word)) else { break }
                start = tokens.index
            }
            return start
        }
        return String(decoding: sql.utf8.dropFirst(start), as: UTF8.self)
    }

    /// Whether the statement that begins at an offset, or that is explained there, changes the schema, judging by its
    /// first word.
    static func changesSchema(_ sql: String, from offset: Int) -> Bool {
        var sql = sql
        return sql.withUTF8 { bytes in
            var tokens = SQLTokens(bytes, from: offset)
            tokens.skipToStatement()
            while case .word(let word)? = tokens.next() {
                switch tokens.keyword(word) {
                case "explain", "query", "plan": continue
                case "create", "drop", "alter", "reindex", "analyze": return true
                default: return false
                }
            }
            return false
        }
    }

    /// The verb with which a single statement's text begins.
    static func verb(of sql: String) -> Verb? {
        var sql = sql
        return sql.withUTF8 { bytes in
            var tokens = SQLTokens(bytes)
            tokens.skipToStatement()
            return tokens.next().map { verb($0, tokens) }
        }
    }
}

/// Splits SQL into tokens as SQLite does, in one pass over its UTF-8 bytes, and keeps only what determines where
/// statements end.
///
/// Source: `sqlite3GetToken`, described under [Keywords](https://sqlite.org/lang_keywords.html),
/// [Comments](https://sqlite.org/lang_comment.html) and [Parameters](https://sqlite.org/lang_expr.html#varparam).
struct SQLTokens {
    enum Token: Hashable {
        case semicolon
        /// A keyword, a name without quotes, or a number: the range of its bytes.
        case word(Range<Int>)
        /// Any other token; white space and comments are not tokens.
        case other
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    /// Where the search for the next token begins.
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
            // A doubled quote reads as two adjacent strings, which end at the same position.
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

    /// The word in lower case, if it can be a relevant one; those are short.
    func keyword(_ range: Range<Int>) -> String {
        guard range.count <= 11 else { return "" }
        return String(decoding: bytes[range].map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// Moves to the next token that is not a semicolon.
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
            // Starts at the third byte: `/*/` does not end itself.
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

    /// A name after its prefix. As in Tcl, `$a::b(…)` is one token, whatever is between the parentheses except white
    /// space.
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
