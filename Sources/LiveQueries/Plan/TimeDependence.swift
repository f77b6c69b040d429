import ChangeCapture
import SQLiteConnection

/// Finds parts of SQL that depend on the time at which it runs.
///
/// The authorizer reports the use of a date function but not its arguments, so the text must be examined. A value of a column
/// is not known: `date(note)` depends on the time if a note is the text `now`.
///
/// Source: [Date And Time Functions](https://sqlite.org/lang_datefunc.html).
struct TimeDependence {
    struct Place {
        var text: String
        /// In the SQL, in UTF-8 bytes.
        var offset: Int
    }

    private static let functions: Set<String> = [
        "DATE", "TIME", "DATETIME", "JULIANDAY", "UNIXEPOCH", "STRFTIME", "TIMEDIFF",
    ]
    private static let keywords: Set<String> = ["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"]
    /// What SQLite takes for the current time.
    private static let currentTimes: Set<String> = ["now", "subsec", "subsecond"]

    private let sql: String
    private let tokens: [SQLToken]
    private let numbers: ParameterNumbers
    private let values: [SQLiteValue]
    private let connection: Connection?

    /// The current time itself, or a use of it.
    private(set) var place: Place?
    /// A text `now` that is not compared with something: it can be the value of a column.
    private(set) var now: Place?
    /// Whether a date function takes a value that is not known.
    private(set) var readsUnknownTime = false

    /// - Parameters:
    ///   - tokens: those of `sql`, which SQLite has compiled, without functions whose value changes by itself.
    ///   - values: the values of parameters 1, 2 …; none if they are not known.
    ///   - connection: evaluates constant expressions; nil if they are unknown.
    init(_ sql: String, _ tokens: [SQLToken], values: [SQLiteValue] = [], on connection: Connection? = nil) {
        self.sql = sql
        self.tokens = tokens
        numbers = ParameterNumbers(tokens)
        self.values = values
        self.connection = connection
        for index in tokens.indices where place == nil { examine(index) }
    }

    private mutating func examine(_ index: Int) {
        let token = tokens[index]
        let offset = token.range.lowerBound
        if token.kind == .word, Self.keywords.contains(token.text) {
            place = Place(text: token.text, offset: offset)
        } else if token.kind == .string || token.kind == .parameter, isNow(token), !isCompared(index) {
            now = now ?? Place(text: "'now'", offset: offset)
        } else if token.kind == .word || token.kind == .quotedName, isOpening(index + 1) {
            let name = SQLName(token.text).caseFolded.string
            guard Self.functions.contains(name.uppercased()), let text = use(of: name, index + 2) else { return }
            place = Place(text: text, offset: offset)
        }
    }

    /// How a call of a date function uses the current time; nil if it does not, or if that is not known.
    private mutating func use(of name: String, _ start: Int) -> String? {
        let arguments = arguments(from: start)
        let times = name == "strftime" ? 1..<2 : name == "timediff" ? 0..<2 : 0..<1
        // Without a time argument they use the current time.
        if arguments.count < times.upperBound { return "\(name)()" }
        for token in tokens[start..<(arguments.last?.upperBound ?? start)] where isNow(token) {
            return token.kind == .parameter ? "\(name)(\(token.text)) with the value 'now'" : "\(name)('now')"
        }
        for argument in arguments[times] {
            guard let value = constant(argument) else {
                readsUnknownTime = true
                continue
            }
            if Self.isCurrentTime(value, among: Self.currentTimes) { return "\(name)(\(text(argument)))" }
        }
        return nil
    }

    /// The arguments of a call, from the token after its parenthesis on.
    private func arguments(from start: Int) -> [Range<Int>] {
        guard start < tokens.count, tokens[start].depth >= tokens[start - 1].depth + 1 else { return [] }
        let depth = tokens[start - 1].depth + 1
        var arguments: [Range<Int>] = []
        var first = start
        var next = start
        while next < tokens.count, tokens[next].depth >= depth {
            if tokens[next].depth == depth, tokens[next].kind == .symbol, tokens[next].text == "," {
                arguments.append(first..<next)
                first = next + 1
            }
            next += 1
        }
        return arguments + [first..<next]
    }

    /// The value of an expression without columns; nil for every other one, and for one that cannot be evaluated.
    private func constant(_ range: Range<Int>) -> SQLiteValue? {
        let part = tokens[range]
        if range.count == 1, let token = part.first {
            switch token.kind {
            case .string: return .text(token.text)
            case .number: return .null
            case .parameter: return value(of: token)
            default: break
            }
        }
        guard let connection, range.allSatisfy(isCheap) else { return nil }
        let expression = numbers.renumber(sql, bytes(range))
        do throws(SQLiteError) {
            let statement = try KeptStatement("SELECT (\(expression)\n)", on: connection)
            try statement.bind(Array(values.prefix(statement.statement.parameterCount)))
            return try statement.rows().first?.values.first
        } catch {
            // It has a column, of which a SELECT without tables knows nothing.
            return nil
        }
    }

    /// The functions of constant expressions that are evaluated: what others cost is not bounded here.
    private static let cheapFunctions: Set<String> = [
        "CAST", "CHAR", "COALESCE", "IFNULL", "IIF", "LOWER", "LTRIM", "NULLIF", "RTRIM", "SUBSTR", "SUBSTRING", "TRIM",
        "TYPEOF", "UPPER",
    ]

    /// Whether a token of an expression is not of a subquery, which reads tables or other columns, or of what is expensive.
    private func isCheap(_ index: Int) -> Bool {
        let token = tokens[index]
        guard token.kind == .word || token.kind == .quotedName else { return true }
        if isOpening(index + 1) { return Self.cheapFunctions.contains(token.text.uppercased()) }
        return token.kind != .word || !["SELECT", "VALUES", "LIKE", "GLOB", "REGEXP", "MATCH"].contains(token.text)
    }

    private func bytes(_ range: Range<Int>) -> Range<Int> {
        guard let first = tokens[range].first, let last = tokens[range].last else { return 0..<0 }
        return first.range.lowerBound..<last.range.upperBound
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: Array(sql.utf8)[bytes(range)], as: UTF8.self)
    }

    private func isOpening(_ index: Int) -> Bool {
        index < tokens.count && tokens[index].kind == .symbol && tokens[index].text == "("
    }

    private static let comparisons: Set<String> = [
        "=", "==", "<>", "!=", "<", "<=", ">", ">=", "IS", "NOT", "LIKE", "GLOB", "BETWEEN",
    ]

    private func isCompared(_ index: Int) -> Bool {
        [index - 1, index + 1].contains { tokens.indices.contains($0) && Self.comparisons.contains(tokens[$0].text) }
    }

    private func isNow(_ token: SQLToken) -> Bool {
        switch token.kind {
        case .string, .quotedName: Self.isCurrentTime(.text(token.text), among: ["now"])
        case .parameter: value(of: token).map { Self.isCurrentTime($0, among: ["now"]) } ?? false
        default: false
        }
    }

    private func value(of token: SQLToken) -> SQLiteValue? {
        guard let number = numbers.number(at: token.range.lowerBound), values.indices.contains(number - 1) else {
            return nil
        }
        return values[number - 1]
    }

    /// Whether SQLite takes a value for the current time: its bytes as text up to a NUL character, in any case.
    private static func isCurrentTime(_ value: SQLiteValue, among names: Set<String>) -> Bool {
        let bytes: [UInt8]
        switch value {
        case .text(let text): bytes = Array(text.utf8)
        case .malformedText(let text): bytes = text
        case .blob(let blob): bytes = blob
        case .null, .integer, .real: return false
        }
        return names.contains(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).lowercased())
    }
}
