import RandomSupport
import Testing

@testable import SQLiteConnection

/// Compares the linear functions with SQLite's own.
struct QuadraticFunctionsTests {
    private func connection(encoding: String = "UTF-8", replacing: Bool) throws -> Connection {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute("PRAGMA encoding = '\(encoding)'")
        if replacing { try EvaluationPolicy().apply(to: connection) }
        return connection
    }

    private struct Call {
        let sql: String
        let arguments: [SQLiteValue]
    }

    /// Short values of few letters, so that they often match: every storage class, NUL, invalid and overlong UTF-8.
    private func value(_ random: inout SeededGenerator) -> SQLiteValue {
        func bytes() -> [UInt8] {
            let letters: [[UInt8]] = [
                [0x61], [0x61], [0x62], [0x20], [0x00], [0xC3, 0xA9], [0xC3], [0x80], [0x80], [0xE2, 0x82, 0xAC],
                [0xF0, 0x9F, 0x98, 0x80], [0xC3, 0x80, 0x80], [0xFF],
            ]
            let count = random.chance(70) ? random.below(5) : random.below(60)
            let pool = (0..<1 + random.below(3)).map { _ in random.pick(letters) }
            return (0..<count).flatMap { _ in random.pick(random.chance(80) ? pool : letters) }
        }
        return switch random.below(12) {
        case 0: .null
        case 1: .integer(Int64(random.int(-12...1212)))
        case 2: .real(Double(random.int(-50...50)) / 4)
        case 3, 4: .blob(bytes())
        default: bytes().withUnsafeBytes { SQLiteValue(textBytes: $0) }
        }
    }

    private func call(_ random: inout SeededGenerator) -> Call {
        let function = random.pick(["instr", "replace", "trim", "ltrim", "rtrim"])
        let count = function == "replace" ? 3 : function == "instr" || random.chance(85) ? 2 : 1
        let places = (1...count).map { "?\($0)" }.joined(separator: ",")
        return Call(sql: "\(function)(\(places))", arguments: (0..<count).map { _ in value(&random) })
    }

    private func result(_ call: Call, _ connection: Connection) throws -> [SQLiteValue]? {
        let sql = "SELECT typeof(r), hex(r), r FROM (SELECT \(call.sql) AS r)"
        return try connection.query(sql, call.arguments).first
    }

    @Test func `they return exactly what SQLite's own do for any values`() throws {
        var random = SeededGenerator.announced()
        let (builtin, linear) = (try connection(replacing: false), try connection(replacing: true))
        var counts: [String: Int] = [:]
        for _ in 0..<40_000 {
            let call = call(&random)
            let expected = try result(call, builtin)
            #expect(try result(call, linear) == expected, "\(call)")
            counts[String(call.sql.prefix { $0 != "(" }), default: 0] += 1
        }
        print("calls compared:", counts.sorted { $0.key < $1.key })
    }

    @Test func `they return what SQLite's own do in a database of UTF-16`() throws {
        var random = SeededGenerator.announced()
        let builtin = try connection(encoding: "UTF-16le", replacing: false)
        let linear = try connection(encoding: "UTF-16le", replacing: true)
        for _ in 0..<10_000 {
            let call = call(&random)
            // A blob compared with a text is read as UTF-16 there, and SQLite then counts the bytes it had before.
            let isMixed =
                call.sql.hasPrefix("instr") && call.arguments.contains { if case .blob = $0 { true } else { false } }
            if isMixed { continue }
            let expected = try result(call, builtin)
            #expect(try result(call, linear) == expected, "\(call)")
        }
    }

    @Test func `long values give what SQLite's own give`() throws {
        var random = SeededGenerator.announced()
        let (builtin, linear) = (try connection(replacing: false), try connection(replacing: true))
        for _ in 0..<60 {
            let needle = random.bytes(random.int(33...300)).map { $0 & 1 == 0 ? UInt8(0x61) : 0x62 }
            let noise = { (random: inout SeededGenerator) in
                random.bytes(random.int(0...2_000)).map { $0 & 1 == 0 ? UInt8(0x61) : 0x62 }
            }
            var text: [UInt8] = []
            for _ in 0..<random.int(0...5) { text += noise(&random) + needle }
            text += noise(&random)
            let arguments = [text, needle, noise(&random)].map { bytes in
                bytes.withUnsafeBytes { SQLiteValue(textBytes: $0) }
            }
            for sql in ["instr(?1, ?2)", "replace(?1, ?2, ?3)"] {
                let call = Call(sql: sql, arguments: sql.contains("?3") ? arguments : Array(arguments.prefix(2)))
                #expect(try result(call, linear) == result(call, builtin))
            }
        }
    }

    @Test func `a replacement beyond the limit of a value is too big, as with SQLite's own`() throws {
        for replacing in [false, true] {
            let connection = try connection(replacing: replacing)
            connection.setLimit(.valueBytes, 1_000)
            #expect(
                try connection.query("SELECT length(replace('aaaa', 'a', printf('%250s', '')))") == [[.integer(1_000)]]
            )
            #expect {
                try connection.query("SELECT replace('aaaa', 'a', printf('%251s', ''))")
            } throws: { ($0 as? SQLiteError)?.code.primary == .tooBig }
        }
    }

    @Test func `indexes and generated columns that use them hold the same as with SQLite's own`() throws {
        let folder = try TemporaryFolder()
        let sql = """
            CREATE TABLE t (a TEXT, b AS (replace(a, 'x', 'yy')), c AS (instr(a, 'x')) STORED,
                CHECK (trim(a) <> ''));
            CREATE INDEX i ON t (ltrim(a, 'x'), rtrim(a));
            CREATE INDEX p ON t (a) WHERE instr(a, 'q') = 0;
            """
        let first = try Connection(path: folder.file("a.db"), mode: .readWriteCreate)
        try first.execute(sql)
        try first.execute("INSERT INTO t (a) VALUES ('xxa '), ('éx'), (' q')")
        let second = try Connection(path: folder.file("a.db"), mode: .readWrite)
        try EvaluationPolicy().apply(to: second)
        try second.execute("INSERT INTO t (a) VALUES ('xx b x')")
        for connection in [first, second] {
            #expect(try connection.query("PRAGMA integrity_check") == [[.text("ok")]])
            let rows = try connection.query("SELECT b, c FROM t WHERE ltrim(a, 'x') = ' b x' AND rtrim(a) = 'xx b x'")
            #expect(rows == [[.text("yyyy b yy"), .integer(1)]])
        }
        #expect(throws: SQLiteError.self) { try second.execute("INSERT INTO t (a) VALUES ('  ')") }
    }

    /// Each took hours.
    @Test(arguments: [
        "instr(X, Y || 'b')", "replace(X, Y || 'b', '')", "trim(X, X)", "trim(X, hex(zeroblob(8000000)))",
        "instr(CAST(X AS BLOB), CAST(Y || 'b' AS BLOB))",
    ])
    func `the worst arguments end within the deadline`(_ sql: String) throws {
        let connection = try connection(replacing: true)
        let query = sql.replacing("X", with: "printf('%.*c', 16000000, 'a')")
            .replacing("Y", with: "printf('%.*c', 8000000, 'a')")
        let start = ContinuousClock.now
        do {
            try connection.withDeadline(.milliseconds(200)) { () throws(SQLiteError) in
                _ = try connection.query("SELECT length(\(query))")
            }
        } catch {
            #expect(error.code == .interrupt)
        }
        #expect(start.duration(to: .now) < .seconds(20))
    }

    @Test func `json_patch returns what SQLite's own does, as JSON`() throws {
        let (builtin, guarded) = (try connection(replacing: false), try connection(replacing: true))
        for sql in [
            "json_patch('{\"a\":1,\"b\":{\"c\":2}}', '{\"b\":{\"c\":null,\"d\":[3]},\"e\":\"é\"}')",
            "json_patch(NULL, '{}')",
            "json_patch('{}', NULL)", "json_patch('[1]', '2')", "json_array(json_patch('{}', '{\"a\":1}'))",
        ] {
            #expect(try guarded.query("SELECT \(sql)") == builtin.query("SELECT \(sql)"))
        }
        for sql in ["json_patch('{', '{}')", "json_patch('{}', x'00')"] {
            let expected = #expect(throws: SQLiteError.self) { try builtin.query("SELECT \(sql)") }
            #expect(throws: SQLiteError.self) { try guarded.query("SELECT \(sql)") }.map { found in
                #expect(found.message == expected?.message)
            }
        }
    }

    // MARK: The table of functions

    /// Arguments that make a function run as long as possible. For a function that is not listed, each argument is the
    /// longest text.
    private static let worstArguments: [String: [[String]]] = {
        let long = "printf('%.*c', 16000000, 'a')"
        let half = "printf('%.*c', 8000000, 'a') || 'b'"
        // What a statement with LIKE may handle.
        let text = "printf('%.*c', 4194303, 'a')"
        let pattern = "'%' || printf('%.*c', 248, 'a') || 'b'"
        let set = "printf('%.*c', 8000000, 'b') || 'a'"
        let keys =
            "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 100000) SELECT json_group_object('k' || i, i) FROM c)"
        let array = "('[' || replace(hex(zeroblob(3900000)), '00', '1,') || '1]')"
        return [
            "instr": [[long, half], ["CAST(\(long) AS BLOB)", "CAST(\(half) AS BLOB)"]],
            "replace": [[long, half, "''"], [long, "'a'", "'b'"]],
            "trim": [[long], [long, set]], "ltrim": [[long], [long, set]], "rtrim": [[long], [long, set]],
            "like": [[pattern, text], [pattern, text, "'!'"]],
            "glob": [["replace(\(pattern), '%', '*')", text]],
            "printf": [["'%16000000d'", "1"], ["'%.15000000f'", "1e300"], ["'%.16000000c'", "'é'"], [long]],
            "format": [["'%16000000d'", "1"], ["'%.15000000f'", "1e300"], ["'%.16000000c'", "'é'"], [long]],
            "json_patch": [[keys, keys]],
            "json_extract": [[array] + (0..<120).map { "'$[\(1_900_000 - $0)]'" }],
            "json_remove": [[array] + (0..<60).map { _ in "'$[0]'" }],
            "json_set": [[array] + (0..<60).flatMap { ["'$[\(1_900_000 - $0)]'", "1"] }],
            "json_insert": [[array] + (0..<60).flatMap { ["'$[\(1_900_000 - $0)]'", "1"] }],
            "json_replace": [[array] + (0..<60).flatMap { ["'$[\(1_900_000 - $0)]'", "1"] }],
            "json_valid": [[array]], "json": [[array]], "json_type": [[array], [array, "'$[1900000]'"]],
            "json_array_length": [[array], [array, "'$[1900000]'"]],
            "json_quote": [["printf('%.*c', 2600000, char(1))"]],
            "strftime": [["replace(hex(zeroblob(1000000)), '0', '%J')", "1"]],
            "hex": [["zeroblob(8000000)"]], "quote": [["zeroblob(8000000)"]], "randomblob": [["16000000"]],
            "zeroblob": [["16000000"]], "char": [(0..<100).map { "\($0)" }],
            // Refused by the policy, or internal to a table: not called by itself.
            "load_extension": [], "fts3_tokenizer": [], "fts5": [], "match": [], "bm25": [], "highlight": [],
            "snippet": [],
            "matchinfo": [], "offsets": [], "optimize": [], "rtreecheck": [],
        ]
    }()

    /// How long the longest call without a check of the deadline may take. The limits aim at a second on an otherwise
    /// idle machine; a loop of the tests measures how much slower this one is.
    private func bound() -> Duration {
        let start = ContinuousClock.now
        var sum: UInt64 = 0
        for index in 0..<2_000_000 as Range<UInt64> { sum = sum &* 31 &+ index }
        let loop = start.duration(to: .now)
        #expect(sum != 0)
        return .seconds(15) + loop * 50
    }

    @Test func `no function of the library works for long without an end`() throws {
        let connection = try connection(replacing: true)
        let functions = try connection.query(
            "SELECT DISTINCT name, narg FROM pragma_function_list WHERE name NOT IN ('->', '->>') ORDER BY name, narg"
        )
        let bound = bound()
        var slowest: [(name: String, duration: Duration)] = []
        for function in functions {
            guard case .text(let name) = function[0], case .integer(let count) = function[1] else { continue }
            let longest = "printf('%.*c', 16000000, 'a')"
            let unknown = [Array(repeating: longest, count: count < 0 ? 2 : Int(count))]
            let calls = (Self.worstArguments[name] ?? unknown).filter { count < 0 || $0.count == Int(count) }
            for arguments in calls {
                let start = ContinuousClock.now
                do {
                    try connection.withDeadline(.seconds(1)) { () throws(SQLiteError) in
                        _ = try connection.query("SELECT length(\(name)(\(arguments.joined(separator: ", "))))")
                    }
                } catch {
                    // The error does not matter, nor whether it is an aggregate or takes such arguments.
                }
                let duration = start.duration(to: .now)
                #expect(duration < bound, "\(name)")
                slowest.append((name, duration))
            }
        }
        slowest.sort { $0.duration > $1.duration }
        print("functions called:", functions.count, "slowest:", slowest.prefix(8).map { "\($0.name) \($0.duration)" })
    }
}
