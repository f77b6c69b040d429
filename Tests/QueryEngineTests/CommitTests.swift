import ChangeCapture
import QueryEngine
import SQLiteConnection
import Testing

struct CommitTests {
    /// A summary of a commit's changes: `t +1 ~0 -0`, `created t`.
    private func summary(_ commit: ServiceCommit) -> [String] {
        commit.changes.events.map { event in
            switch event {
            case .rows(let rows): "\(rows.table.name) +\(rows.inserted) ~\(rows.updated) -\(rows.deleted)"
            case .schema(let change):
                switch change {
                case .created(let table): "created \(table.name)"
                case .dropped(let table): "dropped \(table.name)"
                default: "modified"
                }
            }
        }
    }

    @Test func `each commit is reported once, with its rows and its author`() async throws {
        let harness = try Harness("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
        await harness.run(
            "INSERT INTO t(v) VALUES (1),(2); UPDATE t SET v = 3 WHERE id = 2; DELETE FROM t WHERE id = 1"
        ) {
            $0.userId = "u1"
            $0.username = "Ada"
        }
        let commit = try #require(harness.commits.all.first)
        #expect(harness.commits.all.count == 1)
        #expect(summary(commit) == ["t +1 ~0 -0"])
        #expect(commit.changes.origin == .service)
        #expect(commit.userId == "u1")
        #expect(commit.username == "Ada")
        #expect(commit.client.rawValue == "ada")
    }

    @Test func `a script that creates and fills a table reports both in one commit`() async throws {
        let harness = try Harness()
        await harness.run("CREATE TABLE t(v); INSERT INTO t VALUES (1),(2)")
        #expect(harness.commits.all.map(summary) == [["created t", "t +2 ~0 -0"]])
        await harness.run("DROP TABLE t")
        #expect(harness.commits.all.last.map(summary) == ["dropped t"])
    }

    @Test func `undone changes are not reported`() async throws {
        let harness = try Harness("CREATE TABLE t(v UNIQUE)")
        await harness.run("BEGIN")
        await harness.run("INSERT INTO t VALUES (1)")
        await harness.run("SAVEPOINT s; INSERT INTO t VALUES (2)")
        await harness.run("ROLLBACK TO s; RELEASE s")
        await harness.run("INSERT INTO t VALUES (1)")
        await harness.run("INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)")
        await harness.run("CREATE TABLE u(v); INSERT INTO nowhere VALUES (1)")
        await harness.run("COMMIT")
        #expect(harness.commits.all.map(summary) == [["t +1 ~0 -0"]])
    }

    @Test func `a RELEASE that commits is reported like a COMMIT`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        await harness.run("SAVEPOINT a")
        await harness.run("INSERT INTO t VALUES (1)")
        #expect(await harness.run("RELEASE a").end.outcome?.receipt == "test:1")
        #expect(harness.commits.all.map(summary) == [["t +1 ~0 -0"]])
    }

    @Test func `a commit without a net change is reported as empty, for a sink that counts log frames`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1)")
        await harness.run("INSERT INTO t VALUES (2); DELETE FROM t WHERE v = 2")
        #expect(harness.commits.all.map { $0.changes.isEmpty } == [true])
        #expect(harness.commits.all.allSatisfy { $0.walFrameCount != nil })
        await harness.run("BEGIN; SELECT * FROM t; COMMIT")
        #expect(harness.commits.all.count == 1, "nothing was written")
    }

    @Test func `every commit is announced before it is reported`() async throws {
        let harness = try Harness("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(v)")
        await harness.run("INSERT INTO t VALUES (1)")
        await harness.run("BEGIN; INSERT INTO t VALUES (2)")
        await harness.run("ROLLBACK")
        #expect(harness.commits.begun == 1)
        #expect(harness.commits.failed == 0)
        #expect(harness.commits.all.count == 1)
    }

    @Test(arguments: ["VACUUM", "PRAGMA user_version = 5", "ANALYZE", "REINDEX"])
    func `maintenance of the file reports no rows, and the next commit is complete`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v); CREATE INDEX i ON t(v); INSERT INTO t VALUES (1)")
        #expect(await harness.run(sql).end.outcome != nil)
        #expect(harness.commits.all.flatMap(summary) == [])
        await harness.run("INSERT INTO t VALUES (2)")
        #expect(harness.commits.all.last.map(summary) == ["t +1 ~0 -0"])
    }

    @Test func `DELETE without WHERE reports every row`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1),(2),(3)")
        await harness.run("DELETE FROM t")
        #expect(harness.commits.all.map(summary) == [["t +0 ~0 -3"]])
    }

    @Test(arguments: [("WAL", [[]]), ("DELETE", [["t +2 ~0 -0"]])])
    func `a sink that reads the log does not receive the changes of a commit`(mode: String, told: [[String]])
        async throws
    {
        let harness = try Harness("CREATE TABLE t(v)", journalMode: mode, readsLog: true)
        #expect(await harness.run("INSERT INTO t VALUES (1), (2)").end.outcome?.changes == 2)
        #expect(harness.commits.all.map(summary) == told)
        #expect(harness.commits.begun == 1)
        await harness.run("BEGIN; INSERT INTO t VALUES (3); ROLLBACK; SELECT * FROM t")
        #expect(harness.commits.all.count == 1)
    }

    /// Truncating a large table shows no progress and cannot be interrupted.
    @Test func `DELETE without WHERE deletes row by row, and DROP drops`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1),(2)", readsLog: true)
        let program = await harness.rows("EXPLAIN DELETE FROM t").map { $0[1] }
        #expect(program.contains(.text("Delete")) && !program.contains(.text("Clear")))
        #expect(await harness.run("DELETE FROM t").end.outcome?.changes == 2)
        #expect(await harness.run("DROP TABLE t").end.outcome != nil)
        #expect(await harness.rows("SELECT name FROM sqlite_schema") == [])
    }

    @Test func `a rollback journal commits without frames`() async throws {
        let harness = try Harness("CREATE TABLE t(v)", journalMode: "DELETE")
        #expect(await harness.run("INSERT INTO t VALUES (1)").end.outcome?.receipt == "test:1")
        #expect(harness.commits.all.map(summary) == [["t +1 ~0 -0"]])
        #expect(harness.commits.all.allSatisfy { $0.walFrameCount == nil })
    }

    @Test(arguments: ["WAL", "DELETE"])
    func `VACUUM is announced before it runs, and reports the tables whose rowids it changed`(
        journalMode: String
    ) async throws {
        let harness = try Harness(
            """
            CREATE TABLE t(v); INSERT INTO t VALUES (1),(2),(3); DELETE FROM t WHERE v = 1;
            CREATE TABLE k(id INTEGER PRIMARY KEY); INSERT INTO k VALUES (5);
            """,
            journalMode: journalMode
        )
        #expect(await harness.run("VACUUM").end.outcome != nil)
        #expect(harness.commits.all.map(summary) == [["t +0 ~0 -0"]])
        #expect(harness.commits.begun == 1)
        #expect(harness.commits.failed == 0)
        for case .rows(let rows) in harness.commits.all.flatMap(\.changes.events) {
            #expect(rows.rowsOmitted && !rows.countsAreKnown)
        }
    }

    @Test(arguments: ["VACUUM", "PRAGMA user_version = 5", "BEGIN; VACUUM"])
    func `with a rollback journal no commit stays announced without an end`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1)", journalMode: "DELETE")
        await harness.run(sql)
        #expect(harness.commits.begun == harness.commits.failed + harness.commits.all.count)
        await harness.run("INSERT INTO t VALUES (2)")
        #expect(harness.commits.all.last.map(summary) == ["t +1 ~0 -0"])
    }

    @Test func `the level of capture can change between transactions`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        harness.commits.setLevel(.counts)
        await harness.run("INSERT INTO t VALUES (1)")
        harness.commits.setLevel(.values)
        await harness.run("INSERT INTO t VALUES (2)")
        let rows = harness.commits.all.compactMap { commit -> Int? in
            if case .rows(let rows)? = commit.changes.events.first { rows.rows.count } else { nil }
        }
        #expect(rows == [0, 1])
    }

    @Test func `the log is recycled by the service's own checkpoints`() async throws {
        let harness = try Harness("CREATE TABLE t(v)") { $0.checkpointFrames = 10 }
        for _ in 0..<100 { await harness.run("INSERT INTO t VALUES (1)") }
        #expect(harness.commits.all.allSatisfy { $0.walFrameCount ?? 0 < 30 })
    }
}
