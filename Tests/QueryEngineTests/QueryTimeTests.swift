import QueryEngine
import SQLiteConnection
import Testing

/// The time of the queries of one identity.
struct QueryTimeTests {
    /// Runs for some milliseconds at least.
    private static let long =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000) SELECT max(x) FROM c"

    private func harness() throws -> Harness {
        try Harness("CREATE TABLE t(v)") {
            $0.limits.maxTimePerSecondOfIdentity = .milliseconds(1)
            $0.limits.maxTimeBurstOfIdentity = .milliseconds(1)
        }
    }

    @Test func `an identity that has used its time waits, and others do not`() async throws {
        let harness = try harness()
        #expect(await harness.run(Self.long) { $0.identity = "ada" }.end.outcome != nil)
        // From another connection too.
        for sql in ["SELECT 1", "INSERT INTO t VALUES (1)"] {
            let failure = await harness.run(sql, client: "other") { $0.identity = "ada" }.end.failure
            #expect(failure?.code == .rateLimited)
            let wait = try #require(failure?.retryAfter)
            #expect(wait > .milliseconds(1))
            #expect(failure?.message.contains("try again in \(Int(wait / .milliseconds(1))) ms") == true)
        }
        #expect(await harness.run("SELECT 1", client: "bob") { $0.identity = "bob" }.end.outcome != nil)
        // The application itself.
        #expect(await harness.run("SELECT 1", client: "app").end.outcome != nil)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(0)]])
    }

    @Test func `a transaction can be ended without time`() async throws {
        let harness = try harness()
        await harness.run("BEGIN") { $0.identity = "ada" }
        await harness.run("INSERT INTO t SELECT x FROM (\(Self.long.replacing("max(x)", with: "x")))") {
            $0.identity = "ada"
        }
        let refused = await harness.run("INSERT INTO t VALUES (1)") { $0.identity = "ada" }.end.failure
        #expect(refused?.code == .rateLimited)
        #expect(await harness.run("ROLLBACK") { $0.identity = "ada" }.end.outcome?.inTransaction == false)
    }
}
