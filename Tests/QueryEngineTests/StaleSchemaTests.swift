import QueryEngine
import SQLiteConnection
import Testing

/// Another process changes the schema, and the very next statement must be compiled with it. SQLite itself checks only
/// for errors about names that are not found.
struct StaleSchemaTests {
    @Test(
        arguments: [
            ("ALTER TABLE t ADD COLUMN c", "INSERT INTO t VALUES (1, 2, 3)"),
            ("ALTER TABLE t ADD COLUMN c", "WITH x AS (SELECT 1) INSERT INTO t SELECT 1, 2, 3 FROM x"),
            ("ALTER TABLE t ADD COLUMN c", "SELECT * FROM t UNION ALL SELECT 1, 2, 3"),
            ("ALTER TABLE t ADD COLUMN c", "SELECT (1, 2, 3) IN (SELECT * FROM t)"),
            ("ALTER TABLE t ADD COLUMN c", "WITH x(p, q, r) AS (SELECT * FROM t) SELECT * FROM x"),
            ("DROP TABLE old", "CREATE TABLE old(a)"),
            ("DROP TABLE old", "ALTER TABLE t RENAME TO old"),
            ("DROP INDEX i", "CREATE INDEX i ON t(a)"),
            ("ALTER TABLE t DROP COLUMN b", "ALTER TABLE t ADD COLUMN b"),
            ("ALTER TABLE t DROP COLUMN b", "INSERT INTO t VALUES (1)"),
            ("CREATE UNIQUE INDEX u ON t(a)", "INSERT INTO t VALUES (1, 2) ON CONFLICT(a) DO NOTHING"),
            ("DROP VIEW v; CREATE TABLE v(a)", "INSERT INTO v VALUES (1)"),
            ("ALTER TABLE t RENAME COLUMN b TO d", "SELECT a AS d, t.d FROM t WHERE t.d IS NULL ORDER BY t.d"),
        ]
    )
    func `a statement meets the schema as another process left it`(change: String, sql: String) async throws {
        let harness = try Harness(
            "CREATE TABLE t(a, b); CREATE TABLE old(a); CREATE INDEX i ON t(b); CREATE VIEW v AS SELECT 1 AS a; DROP INDEX i; "
                + (change.contains("INDEX i") ? "CREATE INDEX i ON t(b)" : "")
        )
        // Every connection of the service has read the schema.
        let warm = "SELECT * FROM t, old, v"
        let reads = (0..<8).map { _ in harness.start(warm) }
        for read in reads { #expect(await read.sink.end().outcome != nil) }
        await harness.run("INSERT INTO old VALUES (1)")
        try harness.database.execute(change)
        let failure = await harness.run(sql).end.failure
        #expect(failure == nil, "\(failure?.message ?? "")")
    }

    @Test func `a failed statement of a transaction pins no older state`() async throws {
        let harness = try Harness("CREATE TABLE t(a)")
        await harness.run("BEGIN")
        #expect(await harness.run("INSERT INTO t VALUES (1, 2)").end.failure?.code == .sqlError)
        try harness.database.execute("INSERT INTO t VALUES (1)")
        #expect(await harness.run("INSERT INTO t VALUES (2)").end.outcome != nil)
        #expect(await harness.run("COMMIT").end.outcome != nil)
    }

    @Test func `a script that turns out to write after it has sent rows fails, and does not run twice`() async throws {
        let harness = try Harness("CREATE TABLE t(a)")
        let database = harness.database
        let sink = RecordingSink(onStarted: { try? database.execute("CREATE TABLE later(a)") })
        // A check of the whole script stops at the unknown table, and so does not see what writes.
        let running = harness.start("SELECT 1; SELECT * FROM later; PRAGMA user_version = 7", sink: sink) {
            $0.atomic = false
        }
        #expect(await sink.end().failure?.message.contains("run it again") == true)
        #expect(sink.log.rows == [[.integer(1)]])
        #expect(try database.query("PRAGMA user_version") == [[.integer(0)]])
        #expect(await harness.run("SELECT 1") { $0.queryId = running.queryId }.end.outcome != nil)
    }
}
