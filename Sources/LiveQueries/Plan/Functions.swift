import ChangeCapture
import SQLiteConnection

/// The functions that SQLite reports.
///
/// Source: [PRAGMA function_list](https://sqlite.org/pragma.html#pragma_function_list).
struct FunctionCatalog {
    private var aggregates: Set<String> = []
    private var volatile: Set<String> = []

    private static let deterministic: Int64 = 0x800

    /// Scalar functions that SQLite does not mark as deterministic although their value does not change while the
    /// program runs.
    private static let stable: Set<String> = [
        "sqlite_version", "sqlite_source_id", "sqlite_compileoption_get", "sqlite_compileoption_used",
        // Functions of full-text search and R-trees: they depend only on the table.
        "bm25", "highlight", "snippet", "match", "matchinfo", "offsets", "fts5", "fts5_source_id", "rtreenode",
        "rtreedepth", "rtreecheck",
    ]

    init(_ connection: Connection) throws(SQLiteError) {
        var statement = try connection.prepare("SELECT lower(name), type, flags FROM pragma_function_list")
        while try statement.step() {
            let name = statement.text(0) ?? ""
            if statement.text(1) == "s" {
                if statement.integer(2) & Self.deterministic == 0, !Self.stable.contains(name) { volatile.insert(name) }
            } else {
                aggregates.insert(name)
            }
        }
        // Functions of the current time; TimeDependence finds those that depend on an argument.
        volatile.subtract(["current_date", "current_time", "current_timestamp"])
    }

    func isVolatile(_ name: String) -> Bool { volatile.contains(name) }
    func isAggregate(_ name: String) -> Bool { aggregates.contains(name) }
}

/// Finds parts of SQL that depend on the time at which it runs.
///
/// The authorizer reports the use of a date function but not its arguments, so the text must be examined.
///
/// Source: [Date And Time Functions](https://sqlite.org/lang_datefunc.html).
enum TimeDependence {
    private static let functions: Set<String> = [
        "DATE", "TIME", "DATETIME", "JULIANDAY", "UNIXEPOCH", "STRFTIME", "TIMEDIFF",
    ]
    private static let keywords: Set<String> = ["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"]

    static func find(in tokens: [SQLToken]) -> (text: String, offset: Int)? {
        for (index, token) in tokens.enumerated() {
            if token.kind == .word, keywords.contains(token.text) { return (token.text, token.range.lowerBound) }
            guard token.kind == .word || token.kind == .quotedName, index + 1 < tokens.count,
                tokens[index + 1].text == "(", tokens[index + 1].kind == .symbol
            else { continue }
            let name = SQLName(token.text).caseFolded.string.uppercased()
            guard functions.contains(name) else { continue }
            let depth = tokens[index + 1].depth + 1
            var arguments = 0
            var isNow = false
            var next = index + 2
            while next < tokens.count, tokens[next].depth >= depth {
                if arguments == 0 { arguments = 1 }
                if tokens[next].depth == depth, tokens[next].text == ",", tokens[next].kind == .symbol {
                    arguments += 1
                }
                if tokens[next].kind == .string || tokens[next].kind == .quotedName,
                    SQLName(tokens[next].text).caseFolded.string == "now"
                {
                    isNow = true
                }
                next += 1
            }
            // Without a time argument they use the current time.
            let needed = name == "STRFTIME" ? 2 : 1
            if isNow || arguments < needed {
                return ("\(SQLName(token.text).caseFolded.string)(\(isNow ? "'now'" : ""))", token.range.lowerBound)
            }
        }
        return nil
    }
}
