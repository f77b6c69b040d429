import ChangeCapture

/// The clauses of a simple SELECT and their positions in its text: one query over tables, without subqueries.
///
/// It proves nothing by itself. SQLite has already compiled the text, so it is one well-formed statement; where this
/// parser is not certain it fails with the reason, and the query runs as a whole.
struct SelectShape {
    /// One table of the FROM clause.
    struct Item {
        /// `main` or nothing.
        var table: String
        /// The name that qualifies columns: the alias or the table's name.
        var name: String
        /// From the table's name to the end of its ON or USING clause, without the join operator.
        var range: Range<Int>
        /// The join operator before it, from its first keyword; empty for the first item.
        var joinRange: Range<Int>
        var isLeftJoin: Bool
        var isNatural: Bool
        /// The tokens of its ON clause.
        var on: Range<Int>
        var hasUsing: Bool
    }

    struct ResultColumn {
        /// The tokens of the expression, without the alias.
        var tokens: Range<Int>
        var alias: String?
        /// `*` or `name.*`.
        var isStar: Bool
        /// The table of `name.*`.
        var starTable: String?
    }

    struct Failure: Error {
        var reason: String
    }

    let tokens: [SQLToken]
    private(set) var isDistinct = false
    private(set) var columns: [ResultColumn] = []
    /// The result columns, as tokens.
    private(set) var resultTokens = 0..<0
    private(set) var items: [Item] = []
    /// The condition, as tokens; empty when there is none.
    private(set) var whereTokens = 0..<0
    /// One range of tokens for each expression of GROUP BY.
    private(set) var groupBy: [Range<Int>] = []
    /// From GROUP to the end of HAVING.
    private(set) var groupTokens = 0..<0
    private(set) var hasHaving = false
    private(set) var hasOrderBy = false
    private(set) var hasLimit = false

    init(_ tokens: [SQLToken]) throws(Failure) {
        var tokens = tokens
        while tokens.last?.text == ";" { tokens.removeLast() }
        self.tokens = tokens
        guard isWord(0, "SELECT") else { throw Failure(reason: "it does not begin with SELECT") }
        for token in tokens.dropFirst() where token.kind == .word {
            switch token.text {
            case "SELECT", "VALUES": throw Failure(reason: "it has a subquery or is a compound SELECT")
            case "OVER", "WINDOW": throw Failure(reason: "it has a window function")
            case "RIGHT", "FULL": throw Failure(reason: "it has a RIGHT or FULL JOIN")
            default: break
            }
        }
        var index = 1
        if isWord(index, "DISTINCT") {
            isDistinct = true
            index += 1
        } else if isWord(index, "ALL") {
            index += 1
        }
        let from = try parseResult(from: index)
        var next = try parseFrom(from + 1)
        if isWord(next, "WHERE") {
            let end = clauseEnd(next + 1)
            whereTokens = next + 1..<end
            next = end
        }
        if isWord(next, "GROUP") {
            let end = clauseEnd(next + 2)
            groupTokens = next..<end
            groupBy = split(next + 2..<end)
            next = end
        }
        if isWord(next, "HAVING") {
            let end = clauseEnd(next + 1)
            hasHaving = true
            groupTokens = (groupTokens.isEmpty ? next : groupTokens.lowerBound)..<end
            next = end
        }
        if isWord(next, "ORDER") {
            hasOrderBy = true
            next = clauseEnd(next + 2)
        }
        if isWord(next, "LIMIT") {
            hasLimit = true
            next = tokens.count
        }
        guard next == tokens.count else { throw Failure(reason: "its clauses could not be determined") }
    }

    // MARK: Access to tokens

    func isWord(_ index: Int, _ text: String) -> Bool {
        index >= 0 && index < tokens.count && tokens[index].kind == .word && tokens[index].text == text
    }

    func isSymbol(_ index: Int, _ text: String) -> Bool {
        index >= 0 && index < tokens.count && tokens[index].kind == .symbol && tokens[index].text == text
    }

    func isName(_ index: Int) -> Bool {
        guard tokens.indices.contains(index) else { return false }
        switch tokens[index].kind {
        case .quotedName: return true
        case .word: return !Self.reserved.contains(tokens[index].text)
        default: return false
        }
    }

    /// The bytes from the first to the last token of a range.
    func bytes(_ range: Range<Int>) -> Range<Int> {
        range.isEmpty
            ? 0..<0 : tokens[range.lowerBound].range.lowerBound..<tokens[range.upperBound - 1].range.upperBound
    }

    /// An expression without the parentheses around it.
    func withoutParentheses(_ range: Range<Int>) -> Range<Int> {
        var range = range
        while range.count > 2, isSymbol(range.lowerBound, "("), closing(range.lowerBound) == range.upperBound - 1 {
            range = range.lowerBound + 1..<range.upperBound - 1
        }
        return range
    }

    /// The token that closes the parenthesis.
    func closing(_ open: Int) -> Int? {
        (open + 1..<tokens.count).first { isSymbol($0, ")") && tokens[$0].depth == tokens[open].depth }
    }

    /// Whether two expressions have the same tokens, apart from the case of names and keywords.
    func areSameExpression(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { left, right in
                let (left, right) = (tokens[left], tokens[right])
                switch left.kind {
                case .word, .quotedName:
                    return (right.kind == .word || right.kind == .quotedName)
                        && SQLName(left.text).caseFolded == SQLName(right.text).caseFolded
                case .string, .number, .blob, .parameter, .symbol:
                    return left.kind == right.kind && left.text.isIdentical(to: right.text)
                }
            }
    }

    /// Where the clause that contains the token ends: at the next clause's keyword outside of parentheses.
    private func clauseEnd(_ start: Int) -> Int {
        var index = start
        while index < tokens.count {
            if tokens[index].depth == 0, tokens[index].kind == .word, Self.clauses.contains(tokens[index].text) {
                break
            }
            index += 1
        }
        return index
    }

    /// The parts between commas outside of parentheses.
    private func split(_ range: Range<Int>) -> [Range<Int>] {
        guard let first = range.first else { return [] }
        let depth = tokens[first].depth
        var parts: [Range<Int>] = []
        var start = range.lowerBound
        for index in range where isSymbol(index, ",") && tokens[index].depth == depth {
            parts.append(start..<index)
            start = index + 1
        }
        parts.append(start..<range.upperBound)
        return parts
    }

    // MARK: Result columns

    private mutating func parseResult(from start: Int) throws(Failure) -> Int {
        var from = start
        while from < tokens.count {
            // `a IS DISTINCT FROM b` is an operator.
            let isOperator = isWord(from - 1, "DISTINCT") && (isWord(from - 2, "IS") || isWord(from - 2, "NOT"))
            if tokens[from].depth == 0, isWord(from, "FROM"), !isOperator { break }
            from += 1
        }
        guard from < tokens.count else { throw Failure(reason: "it reads no table") }
        resultTokens = start..<from
        for part in split(resultTokens) {
            guard let first = part.first else { throw Failure(reason: "its result columns could not be determined") }
            if part.count == 1, isSymbol(first, "*") {
                columns.append(ResultColumn(tokens: part, alias: nil, isStar: true, starTable: nil))
            } else if part.count == 3, isSymbol(first + 1, "."), isSymbol(first + 2, "*") {
                let name = tokens[first]
                columns.append(ResultColumn(tokens: part, alias: nil, isStar: true, starTable: name.text))
            } else {
                columns.append(column(part))
            }
        }
        return from
    }

    private func column(_ part: Range<Int>) -> ResultColumn {
        let last = part.upperBound - 1
        if part.count >= 3, isWord(last - 1, "AS"), tokens[last - 1].depth == 0 {
            return ResultColumn(
                tokens: part.lowerBound..<last - 1,
                alias: tokens[last].text,
                isStar: false,
                starTable: nil
            )
        }
        // An alias without AS: a name after a token that can end an expression.
        let canBeAlias = isName(last) || tokens[last].kind == .string
        if part.count >= 2, canBeAlias, endsExpression(last - 1) {
            return ResultColumn(tokens: part.lowerBound..<last, alias: tokens[last].text, isStar: false, starTable: nil)
        }
        return ResultColumn(tokens: part, alias: nil, isStar: false, starTable: nil)
    }

    private func endsExpression(_ index: Int) -> Bool {
        switch tokens[index].kind {
        case .number, .string, .blob, .parameter, .quotedName: true
        case .symbol: tokens[index].text == ")"
        case .word:
            !Self.reserved.contains(tokens[index].text)
                || ["END", "NULL", "ISNULL", "NOTNULL"].contains(tokens[index].text)
        }
    }

    // MARK: FROM

    private mutating func parseFrom(_ start: Int) throws(Failure) -> Int {
        var index = start
        var join = start..<start
        var (isLeft, isNatural) = (false, false)
        while true {
            let first = index
            guard isName(index) else { throw Failure(reason: "its FROM clause has more than tables") }
            var table = tokens[index].text
            if tokens[index].kind == .word { table = original(index) }
            index += 1
            if isSymbol(index, ".") {
                guard isName(index + 1), SQLName(table).caseFolded.string == "main" else {
                    throw Failure(reason: "it reads another schema than main")
                }
                table = tokens[index + 1].kind == .word ? original(index + 1) : tokens[index + 1].text
                index += 2
            }
            if isSymbol(index, "(") { throw Failure(reason: "it reads a table-valued function") }
            var name = table
            if isWord(index, "AS") {
                name = tokens[index + 1].kind == .word ? original(index + 1) : tokens[index + 1].text
                index += 2
            } else if index < tokens.count, isName(index) || tokens[index].kind == .string,
                !isJoinWord(index), !isWord(index, "INDEXED")
            {
                name = tokens[index].kind == .word ? original(index) : tokens[index].text
                index += 1
            }
            if isWord(index, "INDEXED") {
                index += 3
            } else if isWord(index, "NOT"), isWord(index + 1, "INDEXED") {
                index += 2
            }
            var on = index..<index
            var hasUsing = false
            if isWord(index, "ON") {
                let end = joinEnd(index + 1)
                on = index + 1..<end
                index = end
            } else if isWord(index, "USING") {
                hasUsing = true
                index = joinEnd(index + 1)
            }
            items.append(
                Item(
                    table: table,
                    name: name,
                    range: bytes(first..<index),
                    joinRange: bytes(join),
                    isLeftJoin: isLeft,
                    isNatural: isNatural,
                    on: on,
                    hasUsing: hasUsing
                )
            )
            let operatorStart = index
            (isLeft, isNatural) = (false, false)
            if isSymbol(index, ",") {
                index += 1
            } else if isJoinWord(index) {
                while isJoinWord(index), !isWord(index, "JOIN") {
                    if isWord(index, "LEFT") { isLeft = true }
                    if isWord(index, "NATURAL") { isNatural = true }
                    index += 1
                }
                guard isWord(index, "JOIN") else { throw Failure(reason: "its joins could not be determined") }
                index += 1
            } else {
                break
            }
            join = operatorStart..<index
        }
        guard index == tokens.count || Self.clauses.contains(tokens[index].text) else {
            throw Failure(reason: "its FROM clause could not be parsed")
        }
        return index
    }

    private func isJoinWord(_ index: Int) -> Bool {
        guard index < tokens.count, tokens[index].kind == .word else { return false }
        return Self.joins.contains(tokens[index].text)
    }

    /// Where an ON or USING clause ends.
    private func joinEnd(_ start: Int) -> Int {
        var index = start
        while index < tokens.count {
            if tokens[index].depth == 0 {
                if isSymbol(index, ",") || isJoinWord(index) { break }
                if tokens[index].kind == .word, Self.clauses.contains(tokens[index].text) { break }
            }
            index += 1
        }
        return index
    }

    /// A word's text is in upper case; names are compared case-insensitively.
    private func original(_ index: Int) -> String { SQLName(tokens[index].text).caseFolded.string }

    private static let clauses: Set<String> = [
        "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "WINDOW",
    ]

    private static let joins: Set<String> = ["JOIN", "LEFT", "INNER", "CROSS", "NATURAL", "OUTER"]

    /// Words that are never names, and those that this parser does not accept as names.
    static let reserved: Set<String> = [
        "ALL", "AND", "AS", "BETWEEN", "BY", "CASE", "CAST", "COLLATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME",
        "CURRENT_TIMESTAMP", "DISTINCT", "ELSE", "END", "ESCAPE", "EXCEPT", "EXISTS", "FILTER", "FROM", "FULL", "GLOB",
        "GROUP", "HAVING", "IN", "INNER", "INTERSECT", "IS", "ISNULL", "JOIN", "LEFT", "LIKE", "LIMIT", "MATCH",
        "NATURAL", "NOT", "NOTNULL", "NULL", "ON", "OR", "ORDER", "OUTER", "OVER", "REGEXP", "RIGHT", "SELECT", "THEN",
        "UNION", "USING", "VALUES", "WHEN", "WHERE", "WINDOW",
    ]
}
