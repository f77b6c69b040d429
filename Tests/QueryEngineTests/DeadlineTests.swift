import QueryEngine
import SQLiteConnection
import Testing

/// Work that used to know no end.
struct DeadlineTests {
    private static let endless = "instr(printf('%.*c', 16000000, 'a'), printf('%.*c', 8000000, 'a') || 'b')"
    /// Four such calls for each row, so that they outlast any deadline of these tests in any build.
    private static let rows = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c)"

    private func isTimeout(_ end: RecordingSink.End) -> Bool {
        if case .cancelled(.timeout, _) = end { true } else { false }
    }

    @Test func `an update whose function took hours ends at its deadline, and the writer continues`() async throws {
        let harness = try Harness("CREATE TABLE genre (name); INSERT INTO genre VALUES ('a')")
        let sql = "UPDATE genre SET name = name WHERE (\(Self.rows) SELECT max(\(Self.endless) + i) FROM c) = 1"
        let (end, _) = await harness.run(sql) { $0.timeout = .milliseconds(500) }
        #expect(isTimeout(end))
        let (next, _) = await harness.run("UPDATE genre SET name = 'b'")
        guard case .completed(let outcome) = next else { return #expect(Bool(false), "\(next)") }
        #expect(outcome.changes == 1)
    }

    @Test func `a generated column whose function took hours does not hold a reader`() async throws {
        let harness = try Harness(
            """
            CREATE TABLE evil (id INTEGER PRIMARY KEY); INSERT INTO evil VALUES (1);
            ALTER TABLE evil ADD COLUMN g AS (\(Self.endless));
            """
        ) { $0.limits.readerCount = 1 }
        _ = await harness.run("SELECT max(g) FROM evil") { $0.timeout = .milliseconds(50) }
        #expect(await harness.rows("SELECT 1") == [[.integer(1)]])
    }

    @Test func `a statement that doubles itself while it is compiled fails instead of taking all memory`() async throws
    {
        let harness = try Harness()
        var sql = "WITH t0(x) AS (SELECT 1)"
        for level in 1...40 {
            sql += ", t\(level) AS (SELECT x FROM t\(level - 1) UNION ALL SELECT x FROM t\(level - 1))"
        }
        let (end, _) = await harness.run(sql + " SELECT count(*) FROM t40") { $0.timeout = .seconds(10) }
        if case .completed = end { #expect(Bool(false)) }
        #expect(await harness.rows("SELECT 1") == [[.integer(1)]])
    }

    @Test func `a pattern beyond the limit is refused`() async throws {
        let harness = try Harness()
        let (end, _) = await harness.run("SELECT 'a' LIKE printf('%.*c', 251, 'a')")
        guard case .failed(let failure) = end else { return #expect(Bool(false), "\(end)") }
        #expect(failure.message.contains("pattern too complex"))
    }

    @Test func `a value of a statement with LIKE may have less than one of another`() async throws {
        let harness = try Harness("CREATE VIEW v AS SELECT x LIKE 'a%' AS found FROM (SELECT zeroblob(5000000) AS x)")
        #expect(await harness.rows("SELECT length(zeroblob(5000000))") == [[.integer(5_000_000)]])
        for sql in ["SELECT zeroblob(5000000) LIKE 'a'", "SELECT zeroblob(5000000) GLOB 'a'", "SELECT found FROM v"] {
            let (end, _) = await harness.run(sql)
            guard case .failed(let failure) = end else { return #expect(Bool(false), "\(sql): \(end)") }
            #expect(failure.code == .tooBig)
            #expect(failure.message.contains("with LIKE or GLOB a value may have 4194304 bytes"))
        }
        #expect(await harness.rows("SELECT length(zeroblob(5000000))") == [[.integer(5_000_000)]])
    }
}
