/// What can be told of a script before it is compiled: how many statements it seems to have and how each begins.
///
/// Later statements may need what earlier ones create, so a script cannot be compiled as a whole. The outline is a hint
/// that routes a query and decides how to wrap it; whether a statement writes is for `sqlite3_stmt_readonly` to say. The
/// rules for the bodies of triggers are those of [sqlite3_complete](https://sqlite.org/c3ref/complete.html).
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

    /// Takes time in proportion to the length of the SQL, whatever is in it.
    init(_ sql: String) {
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
        }
        return verbs
    }

    private static func verb(_ token: SQLTokens.Token, _ tokens: SQLTokens) -> Verb {
        guard case .word(let word) = token else { return .read }
        return switch tokens.keyword(word) {
        case "begin", "commit", "end", "rollback", "savepoint", "release": .transaction
        case "vacuum": .vacuum
        case "create": .create
        case "pragma": .pragma
        case "insert", "update", "delete", "replace", "drop", "alter", "reindex", "analyze", "attach", "detach":
            .write
        default: .read
        }
    }

    /// Where in a statement a token stands, as far as its end depends on it.
    private enum Place {
        case start
        case statement
        /// Behind EXPLAIN, perhaps with QUERY PLAN.
        case explain
        /// Behind CREATE, perhaps with TEMP.
        case create
        case trigger
        /// Behind a semicolon within a trigger.
        case triggerStatement
        /// Behind the END that follows such a semicolon.
        case triggerEnd

        mutating func move(past token: SQLTokens.Token, _ tokens: SQLTokens) {
            switch self {
            case .statement:
                if token == .semicolon { self = .start }
            case .start, .explain, .create:
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
    /// Skips white space, comments and semicolons, in UTF-8 bytes.
    static func firstSignificantByte(of sql: String, from offset: Int) -> Int {
        var sql = sql
        return sql.withUTF8 { bytes in
            var tokens = SQLTokens(bytes, from: offset)
            tokens.skipToStatement()
            return tokens.index
        }
    }

    /// What a single statement's text begins with.
    static func verb(of sql: String) -> Verb? {
        var sql = sql
        return sql.withUTF8 { bytes in
            var tokens = SQLTokens(bytes)
            tokens.skipToStatement()
            return tokens.next().map { verb($0, tokens) }
        }
    }
}
