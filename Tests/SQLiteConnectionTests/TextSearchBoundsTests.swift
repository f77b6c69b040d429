import Testing

@testable import SQLiteConnection

/// Full-text searches that took minutes, and those that must go on to work.
struct TextSearchBoundsTests {
    private func connection() throws -> Connection {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try EvaluationPolicy().apply(to: connection)
        return connection
    }

    private func bounds(_ module: SearchBounds.Module, _ expression: String) throws(SearchBounds.Refusal)
        -> SearchBounds
    {
        var bounds = SearchBounds(module)
        var text = expression
        let refusal = text.withUTF8 { bytes -> SearchBounds.Refusal? in
            do throws(SearchBounds.Refusal) {
                try bounds.add(UnsafeRawBufferPointer(bytes))
                return nil
            } catch {
                return error
            }
        }
        if let refusal { throw refusal }
        return bounds
    }

    // MARK: What the limits count

    @Test(arguments: [
        ("a b c", 1), ("NEAR", 1), ("\"NEAR(a b)\"", 1), ("NEAR(a b c)", 3),
        ("x : NEAR (a \"b c\" d, 20) AND e f g", 3),
        ("NEAR(a + b c)", 2), ("NEAR(a b) OR NEAR(c d e f)", 4), ("NEAR(\"a\"\"b\" c", 3), ("near(a b)", 1),
        ("NEAR(a*b*", 2),
    ])
    func `FTS5 counts the phrases of the largest NEAR`(_ expression: String, _ count: Int) throws {
        #expect(try bounds(.fts5, expression).nearPhraseCount == count)
    }

    @Test(arguments: [
        ("a b", 1), ("a NEAR b", 2), ("a NEAR/5 \"b c\" NEAR/2 d", 3), ("a near b", 1), ("\"a NEAR b\"", 1),
    ])
    func `FTS3 counts the phrases that NEAR joins`(_ expression: String, _ count: Int) throws {
        #expect(try bounds(.fts3, expression).nearPhraseCount == count)
    }

    @Test func `more phrases leave less memory for their matches`() throws {
        #expect(try bounds(.fts5, "a").maxPositionBytes == 128 << 20)
        #expect(try bounds(.fts5, "NEAR(a b)").maxPositionBytes == 128 << 20)
        #expect(try bounds(.fts5, "NEAR(a b c d)").maxPositionBytes == 64 << 20)
        #expect(try bounds(.fts3, "a").maxPositionBytes == 64 << 20)
        #expect(try bounds(.fts3, "a NEAR b").maxPositionBytes == 64 << 20)
    }

    // MARK: Refused

    @Test func `too many phrases of NEAR are named, whether they are a constant, bound, or computed for each row`()
        throws
    {
        let connection = try connection()
        try connection.execute(
            """
            CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('a');
            CREATE VIRTUAL TABLE g USING fts4 (x); INSERT INTO g VALUES ('a');
            """
        )
        let near = "NEAR(\(Array(repeating: "a", count: 33).joined(separator: " ")))"
        let chain = Array(repeating: "a", count: 33).joined(separator: " NEAR ")
        for (table, expression) in [("f", near), ("g", chain)] {
            for (sql, values) in [
                ("SELECT * FROM \(table) WHERE \(table) MATCH '\(expression)'", []),
                ("SELECT * FROM \(table) WHERE x MATCH ?1", [SQLiteValue.text(expression)]),
                ("SELECT * FROM (SELECT ?1 AS e) JOIN \(table) ON \(table) MATCH e", [.text(expression)]),
                ("SELECT * FROM (SELECT CAST(?1 AS BLOB) AS e) JOIN \(table) ON \(table) MATCH e", [.text(expression)]),
            ] {
                let error = #expect(throws: SQLiteError.self) {
                    try connection.withDeadline(.seconds(60)) { () throws(SQLiteError) in
                        _ = try connection.query(sql, values)
                    }
                }
                #expect(error?.message == "NEAR has 33 phrases; in one full-text search it may have 32", "\(sql)")
            }
        }
    }

    @Test(arguments: ["f", "g"])
    func `a search that is too long is named with its length`(_ table: String) throws {
        let connection = try connection()
        try connection.execute("CREATE VIRTUAL TABLE f USING fts5 (x); CREATE VIRTUAL TABLE g USING fts4 (x)")
        let error = #expect(throws: SQLiteError.self) {
            try connection.withDeadline(.seconds(60)) { () throws(SQLiteError) in
                _ = try connection.query("SELECT * FROM \(table) WHERE \(table) MATCH printf('%.*c', 70000, 'a')")
            }
        }
        #expect(error?.message == "the full-text search has 70000 bytes; MATCH may have 32768")
        #expect(error?.code == .tooBig)
    }

    @Test func `a search without a query of its own is not limited`() throws {
        let connection = try connection()
        try connection.execute("CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('a')")
        let near = "NEAR(\(Array(repeating: "a", count: 40).joined(separator: " ")))"
        #expect(try connection.query("SELECT x FROM f WHERE f MATCH ?1", [.text(near)]) == [[.text("a")]])
    }

    // MARK: Limits of the query

    /// Runs a search within a query that may use a gigabyte.
    private func search(
        _ sql: String,
        _ expression: String,
        on connection: Connection,
        _ limits: TextSearchLimits
    ) throws(SQLiteError) -> [[SQLiteValue]] {
        var resources = ResourceBudget.Limits.evaluation
        resources.maxHeapBytes = 1 << 30
        resources.textSearch = limits
        let budget = ResourceBudget.ofThisThread()
        budget.begin(resources)
        defer { budget.end() }
        return try connection.query(sql, [.text(expression)])
    }

    @Test func `the limits of a search are those of its query`() throws {
        let connection = try connection()
        try connection.execute("CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('a b c')")
        var limits = TextSearchLimits()
        limits.maxMatchBytes = 12
        limits.maxNearPhrases = 2
        let sql = "SELECT count(*) FROM f WHERE f MATCH ?1"
        #expect(try search(sql, "NEAR(a b)", on: connection, limits) == [[.integer(1)]])
        let near = #expect(throws: SQLiteError.self) { try search(sql, "NEAR(a b c)", on: connection, limits) }
        #expect(near?.message == "NEAR has 3 phrases; in one full-text search it may have 2")
        let long = #expect(throws: SQLiteError.self) { try search(sql, "a OR b AND c d", on: connection, limits) }
        #expect(long?.message == "the full-text search has 14 bytes; MATCH may have 12")
    }

    @Test(arguments: [("f", "fts5"), ("g", "fts4")])
    func `a search keeps to its limit where the query may use more memory, also over rows that grow`(
        _ table: String,
        _ module: String
    ) throws {
        let connection = try connection()
        try connection.execute("CREATE VIRTUAL TABLE \(table) USING \(module) (x)")
        // Each row has a tenth more than the one before.
        for row in 1...10 {
            let text = "replace(hex(zeroblob(\(row * 50_000))), '0', 'a ')"
            try connection.execute("INSERT INTO \(table)(rowid, x) VALUES (\(row), \(text))")
        }
        var limits = TextSearchLimits()
        limits.maxFTS5PositionBytes = 4 << 20
        limits.maxFTS3PositionBytes = 4 << 20
        let phrase = "\"\(Array(repeating: "a", count: 8).joined(separator: " "))\""
        let sql = "SELECT rowid FROM \(table) WHERE \(table) MATCH ?1"
        // FTS4 loads the positions of all rows before the first one.
        if module == "fts5" {
            let first = try search(sql + " LIMIT 2", phrase, on: connection, limits)
            #expect(first == [[.integer(1)], [.integer(2)]])
        }
        let error = #expect(throws: SQLiteError.self) { try search(sql, phrase, on: connection, limits) }
        #expect(error?.code.primary == .outOfMemory)
        #expect(ResourceBudget.ofThisThread().exhaustion == .textSearch)
        #expect(try search(sql, phrase, on: connection, TextSearchLimits()).count == 10)
    }

    // MARK: Ordinary searches

    @Test func `NEAR of many phrases finds what it should`() throws {
        let connection = try connection()
        try connection.execute("CREATE VIRTUAL TABLE f USING fts5 (x)")
        let words = (1...32).map { "w\($0)" }.joined(separator: " ")
        for _ in 0..<500 {
            _ = try connection.query("INSERT INTO f VALUES (?1)", [.text(words)])
            _ = try connection.query("INSERT INTO f VALUES (?1)", [.text(words + " " + words)])
        }
        let count = try connection.withDeadline(.seconds(60)) { () throws(SQLiteError) in
            try connection.query("SELECT count(*) FROM f WHERE f MATCH ?1", [.text("NEAR(\(words), 40)")])
        }
        #expect(count == [[.integer(1_000)]])
    }

    @Test func `the functions of FTS4 work for many terms on rows of ordinary length`() throws {
        let connection = try connection()
        try connection.execute("CREATE VIRTUAL TABLE g USING fts4 (x)")
        let words = (1...40).map { "word\($0)" }.joined(separator: " ")
        let text = Array(repeating: words, count: 100).joined(separator: " ")
        for _ in 0..<50 { _ = try connection.query("INSERT INTO g VALUES (?1)", [.text(text)]) }
        let rows = try connection.withDeadline(.seconds(60)) { () throws(SQLiteError) in
            try connection.query(
                "SELECT length(snippet(g)) > 0, length(offsets(g)) > 0, length(matchinfo(g, 'pcnalxs')) > 0 FROM g WHERE g MATCH ?1",
                [.text(words)]
            )
        }
        #expect(rows == Array(repeating: [.integer(1), .integer(1), .integer(1)], count: 50))
    }

    // MARK: The table of searches

    private struct Worst {
        let table: String
        let call: String
        let expression: String
    }

    /// Expressions and functions that took from ten seconds to days on a row of 16 MB.
    private static let worst: [Worst] = {
        func join(_ count: Int, _ separator: String, term: String = "a") -> String {
            Array(repeating: term, count: count).joined(separator: separator)
        }
        let near = [4, 16, 32, 64].map { "NEAR(\(join($0, " ")), 10)" } + [join(2_000, " OR ", term: "NEAR(a a a a)")]
        let ofFTS5 =
            [8, 64, 7_500].flatMap { count in
                [" AND ", " OR ", " NOT ", " ", " + "].map { join(count, $0) }
                    + ["\"\(join(count, " "))\"", join(count, " OR ", term: "a*")]
            } + near + ["{\(join(15_000, " ", term: "x"))} : a"]
        var worst = ofFTS5.map { Worst(table: "f", call: "rowid", expression: $0) }
        for call in ["highlight(f, 0, '<', '>')", "snippet(f, 0, '<', '>', '…', 10)", "bm25(f)", "rank"] {
            worst += [join(64, " OR "), near[1]].map { Worst(table: "f", call: call, expression: $0) }
        }
        worst += [8, 64, 1_000].map { Worst(table: "t", call: "rowid", expression: "\"\(join($0, ""))\"") }
        // The last two are terms that no part of a row has together.
        let ofFTS4 =
            [1, 4, 16, 64].flatMap { [join($0, " "), "\"\(join($0, " "))\""] } + [join(64, " OR "), join(15_000, " ")]
            + [2, 4, 12].map { join($0, " NEAR ") } + ["a b c d", "a b c d e f g h"]
        let matchinfo = ["s", "x", join(30, "", term: "s")].map { "matchinfo(g, '\($0)')" }
        for call in ["docid", "snippet(g, '', '', '', -1, 64)", "offsets(g)"] + matchinfo {
            worst += ofFTS4.map { Worst(table: "g", call: call, expression: $0) }
        }
        return worst
    }()

    /// How long the longest call that nothing interrupts may take. The limits aim at a second on an otherwise idle machine; a
    /// loop of the tests measures how much slower this one is.
    private func bound() -> Duration {
        let start = ContinuousClock.now
        var sum: UInt64 = 0
        for index in 0..<2_000_000 as Range<UInt64> { sum = sum &* 31 &+ index }
        let loop = start.duration(to: .now)
        #expect(sum != 0)
        return .seconds(15) + loop * 50
    }

    @Test func `no full-text search works for long without an end`() throws {
        let connection = try connection()
        try connection.execute(
            """
            CREATE VIRTUAL TABLE f USING fts5 (x); CREATE VIRTUAL TABLE g USING fts4 (x);
            CREATE VIRTUAL TABLE t USING fts5 (x, tokenize = 'trigram');
            """
        )
        try connection.execute(
            """
            INSERT INTO g SELECT group_concat(replace(hex(zeroblob(1000000)), '0', substr('abcdefgh', i, 1) || ' '), '')
                FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 4) SELECT i FROM c)
            """
        )
        for table in ["f", "g"] {
            try connection.execute("INSERT INTO \(table) VALUES (replace(hex(zeroblob(4000000)), '0', 'a '))")
        }
        try connection.execute("INSERT INTO t VALUES (replace(hex(zeroblob(4000000)), '0', 'a'))")
        let bound = bound()
        var slowest: [(search: String, duration: Duration)] = []
        for search in Self.worst {
            let start = ContinuousClock.now
            var message = ""
            do {
                try connection.withDeadline(.seconds(1)) { () throws(SQLiteError) in
                    let sql = "SELECT length(\(search.call)) FROM \(search.table) WHERE \(search.table) MATCH ?1"
                    _ = try connection.query(sql, [.text(search.expression)])
                }
            } catch {
                // The error does not matter here.
                message = "\(error)"
            }
            let duration = start.duration(to: .now)
            let name = "\(search.table) \(search.call) \(search.expression.prefix(24)) \(search.expression.utf8.count)"
            #expect(duration < bound, "\(name)")
            slowest.append((name + " " + message.prefix(60), duration))
        }
        slowest.sort { $0.duration > $1.duration }
        print(
            "searches:",
            slowest.count,
            "slowest:",
            slowest.prefix(24).map { "\n\($0.duration) \($0.search)" }.joined()
        )
    }
}
