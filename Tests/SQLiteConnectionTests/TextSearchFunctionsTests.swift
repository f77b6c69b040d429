import RandomSupport
import Testing

@testable import SQLiteConnection

/// FTS5's `highlight`, `snippet` and `bm25` as the service replaces them, against FTS5's own.
struct TextSearchFunctionsTests {
    private struct Pair {
        let builtin: Connection
        let replaced: Connection

        init() throws {
            builtin = try Connection(path: ":memory:", mode: .readWriteCreate)
            replaced = try Connection(path: ":memory:", mode: .readWriteCreate)
            try EvaluationPolicy().apply(to: replaced)
        }

        func execute(_ sql: String, _ values: [SQLiteValue] = []) throws {
            for connection in [builtin, replaced] { _ = try connection.query(sql, values) }
        }

        /// Both have the same rows, or the same error.
        func compare(_ sql: String, _ values: [SQLiteValue]) throws -> Int {
            let expected = Result { try builtin.query(sql, values) }
            // Within a budget, so that the limits of searches are in force.
            let found = Result {
                try replaced.withDeadline(.seconds(600)) { () throws(SQLiteError) in try replaced.query(sql, values) }
            }
            switch (expected, found) {
            case (.success(let expected), .success(let found)):
                let difference = zip(found, expected).first { $0 != $1 }
                #expect(
                    difference == nil && found.count == expected.count,
                    "\(sql) \(values): \(difference.map { "\($0)" } ?? "other count")"
                )
                return expected.count
            case (.failure(let expected as SQLiteError), .failure(let found as SQLiteError)):
                #expect(found.code.primary == expected.code.primary, "\(sql) \(values)")
                return 0
            default:
                Issue.record("\(sql) \(values): \(expected) and \(found)")
                return 0
            }
        }
    }

    private static let words = ["a", "b", "c", "ab", "é", "don't", "x-y", "a.", "b:", "longer"]

    private func document(_ random: inout SeededGenerator) -> SQLiteValue {
        if random.chance(4) { return .null }
        let separators = [" ", " ", " ", "  ", ". ", ": ", ".\n", "\t", ", ", "\u{0}", " \u{301}"]
        let count = random.chance(20) ? random.below(400) : random.below(40)
        return .text((0..<count).map { _ in random.pick(Self.words) + random.pick(separators) }.joined())
    }

    private func query(_ random: inout SeededGenerator) -> String {
        func phrase(_ random: inout SeededGenerator) -> String {
            let text = "\"" + (0...random.below(3)).map { _ in random.pick(Self.words) }.joined(separator: " ") + "\""
            return random.chance(15) ? text + "*" : text
        }
        let phrases = (0...random.below(4)).map { _ in phrase(&random) }
        return switch random.below(6) {
        case 0: phrases.joined(separator: " AND ")
        case 1, 2: phrases.joined(separator: " OR ")
        // With equal phrases FTS5 3.40 contradicts itself from one call to the next, or fails with SQLITE_CORRUPT_VTAB.
        case 3: "NEAR(\(Set(phrases).sorted().joined(separator: " ")), \(random.below(8)))"
        case 4: "{y} : (\(phrases.joined(separator: " OR ")))"
        default: phrases[0]
        }
    }

    @Test(arguments: ["unicode61", "porter", "ascii", "trigram"], ["full", "column", "none"])
    func `they return exactly what FTS5's own do`(_ tokenizer: String, _ detail: String) throws {
        var random = SeededGenerator.announced()
        let pair = try Pair()
        try pair.execute("CREATE VIRTUAL TABLE f USING fts5 (x, y, tokenize = '\(tokenizer)', detail = \(detail))")
        for _ in 0..<60 {
            try pair.execute("INSERT INTO f VALUES (?1, ?2)", [document(&random), document(&random)])
        }
        var rowCount = 0
        for _ in 0..<150 {
            let open = random.pick(["'<'", "''", "'[['", "NULL"])
            let column = random.int(-1...2)
            let tokens = random.pick([1, 2, 5, 10, 64, 0, -3, 300])
            let query = SQLiteValue.text(query(&random))
            let order = random.pick(["rowid", "rank, rowid"])
            for call in [
                "highlight(f, \(column), \(open), '>')", "snippet(f, \(column), \(open), '>', '…', \(tokens))",
                "bm25(f)",
                "bm25(f, 2.5, 0.25)", "rank",
            ] {
                rowCount += try pair.compare("SELECT rowid, \(call) FROM f WHERE f MATCH ?1 ORDER BY \(order)", [query])
            }
        }
        print("rows compared:", tokenizer, detail, rowCount)
    }

    /// FTS5's own take from ten seconds to hours.
    @Test(arguments: ["snippet(f, 0, '<', '>', '…', 10)", "highlight(f, 0, '<', '>')", "bm25(f)"])
    func `half a million matches end within the deadline`(_ call: String) throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try EvaluationPolicy().apply(to: connection)
        try connection.execute("CREATE VIRTUAL TABLE f USING fts5 (x)")
        try connection.execute("INSERT INTO f VALUES (replace(hex(zeroblob(250000)), '0', 'a '))")
        let sql = "SELECT length(\(call)) FROM f WHERE f MATCH 'a OR a OR \"a a\"'"
        let start = ContinuousClock.now
        do throws(SQLiteError) {
            try connection.withDeadline(.milliseconds(100)) { () throws(SQLiteError) in _ = try connection.query(sql) }
        } catch {
            #expect(error.code == .interrupt)
        }
        #expect(start.duration(to: .now) < .seconds(10))
    }

    @Test func `wrong arguments fail as with FTS5's own`() throws {
        let pair = try Pair()
        try pair.execute("CREATE VIRTUAL TABLE f USING fts5 (x)")
        try pair.execute("INSERT INTO f VALUES ('a b')")
        for call in ["highlight(f, 0)", "snippet(f, 0, '', '')", "highlight(f, 7, '<', '>')", "bm25(f, 'x', 2, 3)"] {
            _ = try pair.compare("SELECT \(call) FROM f WHERE f MATCH 'a'", [])
        }
    }

    @Test func `a table without a query has no matches`() throws {
        let pair = try Pair()
        try pair.execute("CREATE VIRTUAL TABLE f USING fts5 (x)")
        try pair.execute("INSERT INTO f VALUES ('a b')")
        let sql = "SELECT highlight(f, 0, '<', '>'), snippet(f, 0, '<', '>', '…', 1) FROM f"
        #expect(try pair.compare(sql, []) == 1)
    }
}
