/// What can be told of a script before it is compiled: how many statements it seems to have and how each begins.
///
/// Later statements may need what earlier ones create, so a script cannot be compiled as a whole. The outline is a hint
/// that routes a query and decides how to wrap it; whether a statement writes is for `sqlite3_stmt_readonly` to say. The
/// rules for strings, comments and the bodies of triggers are those of
/// [sqlite3_complete](https://sqlite.org/c3ref/complete.html).
struct ScriptOutline: Hashable, Sendable {
    enum Verb: Hashable, Sendable {
        /// BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE.
        case transaction
        case vacuum
        case create
        case pragma
        /// SELECT, VALUES, WITH, EXPLAIN and whatever else may well only read.
        case read
        case write
    }

    private(set) var verbs: [Verb] = []

    var statementCount: Int { verbs.count }
    var controlsTransactions: Bool { verbs.contains(.transaction) }
    /// False when it may turn out to only read.
    var surelyWrites: Bool { verbs.contains { $0 != .read && $0 != .pragma } }

    init(_ sql: String) {
        var sql = sql
        verbs = sql.withUTF8 { bytes in
            var scanner = Scanner(bytes: bytes)
            return scanner.verbs()
        }
    }
}

extension ScriptOutline {
    /// Skips white space, comments and semicolons, in UTF-8 bytes.
    static func firstSignificantByte(of sql: String, from offset: Int) -> Int {
        var sql = sql
        return sql.withUTF8 { bytes in
            var scanner = Scanner(bytes: bytes, index: offset)
            scanner.skipToSignificant()
            return scanner.index
        }
    }

    /// What a single statement's text begins with.
    static func verb(of sql: String) -> Verb? {
        var sql = sql
        return sql.withUTF8 { bytes in
            var scanner = Scanner(bytes: bytes)
            return scanner.nextWordOrSymbol(skippingSemicolons: true).map(Scanner.verb)
        }
    }

    private struct Scanner {
        let bytes: UnsafeBufferPointer<UInt8>
        var index: Int

        init(bytes: UnsafeBufferPointer<UInt8>, index: Int = 0) {
            self.bytes = bytes
            self.index = index
        }

        mutating func skipToSignificant() {
            while index < bytes.count {
                if skipInsignificant() { continue }
                guard bytes[index] == UInt8(ascii: ";") else { return }
                index += 1
            }
        }

        mutating func verbs() -> [Verb] {
            var verbs: [Verb] = []
            while let word = nextWordOrSymbol(skippingSemicolons: true) {
                verbs.append(Self.verb(word))
                skipStatement(isTrigger: word == "create" && startsTrigger())
            }
            return verbs
        }

        static func verb(_ word: String) -> Verb {
            switch word {
            case "begin", "commit", "end", "rollback", "savepoint", "release": .transaction
            case "vacuum": .vacuum
            case "create": .create
            case "pragma": .pragma
            case "insert", "update", "delete", "replace", "drop", "alter", "reindex", "analyze", "attach",
                "detach":
                .write
            default: .read
            }
        }

        /// After CREATE: whether TRIGGER follows, perhaps behind TEMP. Leaves the position as it was.
        private func startsTrigger() -> Bool {
            var ahead = self
            var word = ahead.nextWordOrSymbol(skippingSemicolons: false)
            if word == "temp" || word == "temporary" { word = ahead.nextWordOrSymbol(skippingSemicolons: false) }
            return word == "trigger"
        }

        /// Moves behind the semicolon that ends the statement; that of a trigger follows an END that itself follows one.
        private mutating func skipStatement(isTrigger: Bool) {
            while skipBehindSemicolon() {
                if !isTrigger { return }
                var ahead = self
                guard ahead.nextWordOrSymbol(skippingSemicolons: true) == "end" else { continue }
                self = ahead
                _ = skipBehindSemicolon()
                return
            }
        }

        private mutating func skipBehindSemicolon() -> Bool {
            while index < bytes.count {
                if skipInsignificant() { continue }
                if bytes[index] == UInt8(ascii: ";") {
                    index += 1
                    return true
                }
                skipToken()
            }
            return false
        }

        /// The next word in lower case, or a symbol as it is; nil at the end.
        mutating func nextWordOrSymbol(skippingSemicolons: Bool) -> String? {
            while index < bytes.count {
                if skipInsignificant() { continue }
                if skippingSemicolons, bytes[index] == UInt8(ascii: ";") {
                    index += 1
                    continue
                }
                let start = index
                skipToken()
                // No word that matters is longer.
                let word = bytes[start..<min(index, start + 16)].map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
                return String(decoding: word, as: UTF8.self)
            }
            return nil
        }

        /// Skips white space or one comment; false when there is neither.
        private mutating func skipInsignificant() -> Bool {
            let byte = bytes[index]
            let next = index + 1 < bytes.count ? bytes[index + 1] : 0
            switch (byte, next) {
            case (0x20, _), (0x09, _), (0x0a, _), (0x0c, _), (0x0d, _):
                index += 1
            case (UInt8(ascii: "-"), UInt8(ascii: "-")):
                while index < bytes.count, bytes[index] != 0x0a { index += 1 }
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                index += 2
                while index < bytes.count {
                    if bytes[index] == UInt8(ascii: "/"), index > 2, bytes[index - 1] == UInt8(ascii: "*") { break }
                    index += 1
                }
                index = min(index + 1, bytes.count)
            case (0xef, 0xbb) where index == 0 && bytes.count > 2 && bytes[2] == 0xbf:
                // A byte order mark, as SQLite's tokenizer skips it.
                index += 3
            default:
                return false
            }
            return true
        }

        /// Skips a word, a quoted string or name, or one other character.
        private mutating func skipToken() {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"):
                // A doubled quote reads as one string after the other, which ends at the same place.
                while index < bytes.count, bytes[index] != byte { index += 1 }
                index = min(index + 1, bytes.count)
            case UInt8(ascii: "["):
                while index < bytes.count, bytes[index] != UInt8(ascii: "]") { index += 1 }
                index = min(index + 1, bytes.count)
            case _ where Self.isWord(byte):
                while index < bytes.count, Self.isWord(bytes[index]) { index += 1 }
            default:
                break
            }
        }

        private static func isWord(_ byte: UInt8) -> Bool {
            byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte >= 0x80
        }
    }
}
