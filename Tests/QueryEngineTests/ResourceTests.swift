import QueryEngine
import SQLiteConnection
import Testing

/// What one query may take of the process.
struct ResourceTests {
    private static let twenty = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 20)"

    private func failure(_ end: RecordingSink.End) -> QueryFailure? {
        if case .failed(let failure) = end { failure } else { nil }
    }

    /// From the report: 66 values of 16 MB used the whole heap, and every other query failed.
    static let greedy =
        "SELECT "
        + (1...66).map { "max(CASE WHEN i > 0 THEN printf('%16000000d', \($0)) END)" }.joined(separator: ", ")
        + " FROM (SELECT 1 AS i)"

    @Test func `a query that needs more memory than one may have fails, and names the limit`() async throws {
        let harness = try Harness()
        let failure = failure(await harness.run(Self.greedy).end)
        #expect(failure?.code == .tooBig)
        #expect(failure?.message.contains("134217728 bytes of memory") == true)
        // The connection still works.
        #expect(await harness.rows("SELECT 1") == [[.integer(1)]])
    }

    @Test func `while greedy queries fail, others are answered`() async throws {
        let harness = try Harness { $0.limits.readerCount = 4 }
        await withTaskGroup(of: Void.self) { group in
            for client in ["ada", "bob", "cleo"] {
                group.addTask {
                    for _ in 0..<3 { _ = await harness.run(Self.greedy, client: client) }
                }
            }
            group.addTask {
                for _ in 0..<50 {
                    #expect(
                        await harness.rows("SELECT length(hex(zeroblob(500000)))", client: "dan") == [
                            [.integer(1_000_000)]
                        ]
                    )
                }
            }
        }
    }

    @Test func `a write that needs too much memory fails and leaves the transaction as SQLite does`() async throws {
        let harness = try Harness("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 1)")
        let failure = failure(
            await harness.run("UPDATE t SET b = (\(Self.greedy.replacing(", max", with: " || max")))").end
        )
        #expect(failure?.code == .tooBig)
        #expect(await harness.rows("SELECT a, b FROM t") == [[.integer(1), .integer(1)]])
    }

    @Test func `a query that needs more temporary files than one may have fails, and names the limit`() async throws {
        let harness = try Harness { $0.limits.maxTemporaryBytes = 10 << 20 }
        let (end, _) = await harness.run("\(Self.twenty) SELECT DISTINCT zeroblob(1000000) || i FROM c")
        let failure = failure(end)
        #expect(failure?.code == .tooBig)
        #expect(failure?.message.contains("10485760 bytes of temporary files") == true)
        let sorted = self.failure(
            await harness.run("\(Self.twenty) SELECT zeroblob(1000000) || i AS b FROM c ORDER BY b").end
        )
        #expect(sorted?.code == .tooBig)
    }

    @Test func `VACUUM needs temporary files for the whole database`() async throws {
        let sql = "CREATE TABLE t (a); \(Self.twenty) INSERT INTO t SELECT randomblob(3000000) FROM c"
        let harness = try Harness(sql) { $0.limits.maxTemporaryBytes = 10 << 20 }
        #expect(failure(await harness.run("VACUUM").end)?.code == .tooBig)
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(20)]])
        let enough = try Harness(sql) { $0.limits.maxTemporaryBytes = 80 << 20 }
        for _ in 0..<2 { #expect(await enough.run("VACUUM").end.outcome != nil) }
    }

    @Test func `temporary files are given back at the end of a query`() async throws {
        let harness = try Harness { $0.limits.maxTotalTemporaryBytes = 60 << 20 }
        for _ in 0..<5 {
            let (end, log) = await harness.run(
                "\(Self.twenty) SELECT DISTINCT length(zeroblob(1000000) || i) FROM c ORDER BY zeroblob(1000000) || i"
            )
            guard case .completed = end else { return #expect(Bool(false), "\(end)") }
            #expect(!log.rows.isEmpty)
        }
    }

    /// One comparison of 16 MB with a pattern of 250 bytes took four seconds, on the writer.
    @Test(arguments: [
        "CREATE TABLE t (a CHECK (a NOT LIKE '%b'))", "CREATE TABLE t (a, b AS (\"glob\"('*b', a)))",
        "CREATE TABLE t (a); CREATE INDEX i ON t (a) WHERE a LIKE '%b'",
    ])
    func `where the schema uses LIKE or GLOB, values are bounded as in a statement that does`(schema: String)
        async throws
    {
        let harness = try Harness(schema)
        let insert = "INSERT INTO t (a) VALUES (zeroblob(5000000))"
        let failure = failure(await harness.run(insert).end)
        #expect(failure?.code == .tooBig)
        #expect(failure?.message.contains("in a database with LIKE or GLOB a value may have 4194304 bytes") == true)
        #expect(await harness.run("INSERT INTO t (a) VALUES (zeroblob(4000000))").end.outcome != nil)
        // From the statement after it on.
        #expect(await harness.run("DROP TABLE t; CREATE TABLE t (a, likes)").end.outcome != nil)
        #expect(await harness.run(insert).end.outcome != nil)
    }

    @Test func `all queries together may need so much of temporary files`() async throws {
        let harness = try Harness { $0.limits.maxTotalTemporaryBytes = 10 << 20 }
        let failure = failure(await harness.run("\(Self.twenty) SELECT DISTINCT zeroblob(1000000) || i FROM c").end)
        #expect(failure?.code == .tooBig)
        #expect(failure?.message.contains("all queries together") == true)
    }
}
