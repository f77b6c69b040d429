import QueryEngine
import SQLiteConnection
import Testing

struct RunningTests {
    @Test func `a SELECT runs on a reader and delivers its rows in order`() async throws {
        let harness = try Harness(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1,'a'),(2,NULL),(3,x'00ff')"
        )
        let (end, log) = await harness.run("SELECT id, v FROM t ORDER BY id")
        #expect(log.readOnly == true)
        #expect(log.columns == [0: ["id", "v"]])
        #expect(log.rows == [[.integer(1), .text("a")], [.integer(2), .null], [.integer(3), .blob([0, 255])]])
        let outcome = try #require(end.outcome)
        #expect(outcome.rowCount == 3)
        #expect(!outcome.truncated)
        #expect(!outcome.inTransaction)
        #expect(!log.isBroken)
        #expect(await harness.service.shutDown())
    }

    @Test func `an INSERT runs on the writer and reports its changes`() async throws {
        let harness = try Harness("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
        let (end, log) = await harness.run("INSERT INTO t(v) VALUES ('a'),('b')")
        #expect(log.readOnly == false)
        let outcome = try #require(end.outcome)
        #expect(outcome.changes == 2)
        #expect(outcome.lastInsertRowid == 2)
        #expect(outcome.receipt == "test:1")
        #expect(harness.commits.all.count == 1)
        #expect(harness.commits.all.first?.walFrameCount != nil)
        #expect(harness.commits.all.first?.queryId == "q1")
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(2)]])
    }

    @Test func `a WITH that writes is handed on to the writer`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let (end, log) = await harness.run("WITH x(v) AS (VALUES (1),(2)) INSERT INTO t SELECT v FROM x RETURNING v")
        #expect(end.outcome?.changes == 2)
        #expect(log.readOnly == false)
        #expect(log.rows == [[.integer(1)], [.integer(2)]])
    }

    @Test func `each statement of a script has its own result`() async throws {
        let harness = try Harness()
        let (end, log) = await harness.run(
            "CREATE TABLE t(v); INSERT INTO t VALUES (7); SELECT v FROM t; SELECT v+1 AS w FROM t;"
        )
        #expect(end.outcome?.rowCount == 2)
        #expect(log.columns == [2: ["v"], 3: ["w"]])
        #expect(log.rows == [[.integer(7)], [.integer(8)]])
        #expect(harness.commits.all.count == 1)
    }

    @Test func `an atomic script that fails leaves nothing and names the statement`() async throws {
        let harness = try Harness()
        let sql = "CREATE TABLE t(v UNIQUE); INSERT INTO t VALUES (1); /* twice */ INSERT INTO t VALUES (1)"
        let (end, _) = await harness.run(sql)
        let failure = try #require(end.failure)
        #expect(failure.code == .constraint)
        #expect(failure.statementIndex == 2)
        #expect(failure.sqliteCode == 2067)
        #expect(failure.offset == 64)
        #expect(harness.commits.all.isEmpty)
        #expect(try harness.database.query("SELECT count(*) FROM sqlite_schema") == [[.integer(0)]])
    }

    @Test func `a script that is not atomic keeps what came before the error`() async throws {
        let harness = try Harness()
        let (end, _) = await harness.run("CREATE TABLE t(v UNIQUE); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)")
        {
            $0.atomic = false
        }
        #expect(end.failure?.statementIndex == 2)
        #expect(harness.commits.all.count == 2)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(1)]])
    }

    @Test(arguments: [true, false])
    func `what OR FAIL has done stays where the request is not to be atomic`(atomic: Bool) async throws {
        let harness = try Harness("CREATE TABLE t(v UNIQUE)")
        let end = await harness.run("INSERT OR FAIL INTO t VALUES (1), (2), (1), (3)") { $0.atomic = atomic }.end
        #expect(end.failure?.code == .constraint)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(atomic ? 0 : 2)]])
        #expect(harness.commits.all.count == (atomic ? 0 : 1))
    }

    @Test func `last_insert_rowid does not reveal another client's rows`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        await harness.run("INSERT INTO t VALUES (1)")
        await harness.run("INSERT INTO t SELECT last_insert_rowid()", client: "bob")
        #expect(try harness.database.query("SELECT v FROM t WHERE rowid = 2") == [[.integer(0)]])
    }

    @Test func `a transaction that has read an older state gets an error that explains it`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        await harness.run("BEGIN; SELECT * FROM t")
        let foreign = try Connection(path: harness.database.path, mode: .readWrite)
        foreign.setBusyTimeout(.seconds(10))
        try foreign.execute("INSERT INTO t VALUES (1)")
        let failure = await harness.run("INSERT INTO t VALUES (2)").end.failure
        #expect(failure?.code == .busy)
        #expect(failure?.message.contains("older state") == true, "\(failure?.message ?? "")")
        #expect(failure?.inTransaction == true)
    }

    @Test func `a syntax error in a later statement is found at its byte in the whole script`() async throws {
        let harness = try Harness()
        let (end, _) = await harness.run("SELECT 'é'; SELEKT 2")
        #expect(end.failure?.code == .sqlError)
        #expect(end.failure?.statementIndex == 1)
        #expect(end.failure?.offset == 13)
    }

    @Test(arguments: ["", "  \n", ";;;", "-- nothing\n", "/* nothing */ ;"])
    func `SQL without a statement is reported as such`(sql: String) async throws {
        let harness = try Harness()
        let (end, _) = await harness.run(sql)
        #expect(end.failure?.code == .sqlError)
        #expect(end.failure?.message.contains("no statement") == true)
    }

    @Test func `an atomic script of reads sees one state of the database`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1)")
        let sink = RecordingSink(isWritable: false)
        let running = harness.start("SELECT v FROM t, (\(manyRows)); SELECT count(*) FROM t", sink: sink)
        await sink.wait { $0.batches > 0 }
        await harness.run("INSERT INTO t VALUES (2)", client: "bob")
        sink.setWritable(true)
        running.handle.resume()
        #expect(await sink.end().outcome?.rowCount == 1_000_001)
        #expect(sink.log.rows.last == [.integer(1)])
    }

    @Test func `rows beyond the limit are left out and the outcome is marked as truncated`() async throws {
        let harness = try Harness()
        let (end, log) = await harness.run(manyRows) { $0.maxRows = 10 }
        #expect(log.rows.count == 10)
        #expect(end.outcome?.truncated == true)
        let (exact, _) = await harness.run("VALUES (1),(2)") { $0.maxRows = 2 }
        #expect(exact.outcome?.truncated == false)
    }

    @Test func `a query id in use is refused and free again at the end`() async throws {
        let harness = try Harness()
        let first = harness.start(endlessQuery)
        await first.sink.wait { $0.readOnly != nil }
        #expect(await harness.run("SELECT 1") { $0.queryId = first.queryId }.end.failure?.code == .queryIdInUse)
        #expect(harness.service.cancel(first.queryId, by: .owner("bob")) == .notAllowed)
        #expect(harness.service.cancel(first.queryId, by: .administrator) == .cancelling)
        #expect(await first.sink.end().cancelReason == .client)
        #expect(await harness.run("SELECT 1") { $0.queryId = first.queryId }.end.outcome != nil)
        #expect(harness.service.cancel("nobody", by: .administrator) == .notFound)
    }
}
