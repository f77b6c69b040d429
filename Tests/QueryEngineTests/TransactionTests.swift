import QueryEngine
import SQLiteConnection
import Testing

struct TransactionTests {
    private let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)"

    @Test func `a transaction over several requests commits as one`() async throws {
        let harness = try Harness(schema)
        #expect(await harness.run("BEGIN").end.outcome?.inTransaction == true)
        #expect(await harness.run("INSERT INTO t(v) VALUES (1)").end.outcome?.inTransaction == true)
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(1)]], "it sees its own change")
        #expect(await harness.rows("SELECT count(*) FROM t", client: "bob") == [[.integer(0)]], "others do not")
        #expect(harness.commits.all.isEmpty)
        let end = await harness.run("COMMIT").end
        #expect(end.outcome?.inTransaction == false)
        #expect(end.outcome?.receipt == "test:1")
        #expect(harness.commits.all.count == 1)
        #expect(await harness.rows("SELECT count(*) FROM t", client: "bob") == [[.integer(1)]])
    }

    @Test func `ROLLBACK undoes it and commits nothing`() async throws {
        let harness = try Harness(schema)
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        #expect(await harness.run("ROLLBACK").end.outcome?.inTransaction == false)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(0)]])
        #expect(harness.commits.all.isEmpty)
    }

    @Test func `savepoints span requests, and releasing the outermost commits`() async throws {
        let harness = try Harness(schema)
        #expect(await harness.run("SAVEPOINT a").end.outcome?.inTransaction == true)
        await harness.run("INSERT INTO t(v) VALUES (1)")
        await harness.run("SAVEPOINT b; INSERT INTO t(v) VALUES (2)")
        await harness.run("ROLLBACK TO b")
        #expect(await harness.run("RELEASE a").end.outcome?.inTransaction == false)
        #expect(harness.commits.all.count == 1)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(1)]])
    }

    @Test func `a failed statement leaves the transaction as SQLite leaves it`() async throws {
        let harness = try Harness(schema)
        await harness.run("BEGIN")
        await harness.run("INSERT INTO t(v) VALUES (1)")
        let failure = await harness.run("INSERT INTO t(v) VALUES (1)").end.failure
        #expect(failure?.code == .constraint)
        #expect(failure?.inTransaction == true)
        await harness.run("COMMIT")
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(1)]])
    }

    @Test func `a script that fails within a transaction is undone and the rest of the transaction stays`() async throws
    {
        let harness = try Harness(schema)
        await harness.run("BEGIN")
        await harness.run("INSERT INTO t(v) VALUES (1)")
        #expect(await harness.run("INSERT INTO t(v) VALUES (2); INSERT INTO t(v) VALUES (1)").end.failure != nil)
        await harness.run("INSERT INTO t(v) VALUES (3); INSERT INTO t(v) VALUES (4)")
        await harness.run("COMMIT")
        #expect(
            try harness.database.query("SELECT v FROM t ORDER BY v") == [[.integer(1)], [.integer(3)], [.integer(4)]]
        )
    }

    @Test func `a script that fails after its own BEGIN leaves no transaction behind`() async throws {
        let harness = try Harness(schema)
        let failure = await harness.run("BEGIN; INSERT INTO t(v) VALUES (1); INSERT INTO nowhere VALUES (1); COMMIT")
            .end.failure
        #expect(failure?.statementIndex == 2)
        #expect(failure?.inTransaction == nil)
        #expect(await harness.run("INSERT INTO t(v) VALUES (9)", client: "bob").end.outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(9)]])
    }

    @Test func `other writers wait for a transaction, in turn`() async throws {
        let harness = try Harness(schema)
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        let bob = harness.start("INSERT INTO t(v) VALUES (2)", client: "bob")
        let eve = harness.start("INSERT INTO t(v) VALUES (3)", client: "eve")
        #expect(await harness.run("INSERT INTO t(v) VALUES (10)").end.outcome != nil)
        #expect(bob.sink.log.end == nil)
        await harness.run("COMMIT")
        #expect(await bob.sink.end().outcome != nil)
        #expect(await eve.sink.end().outcome != nil)
        #expect(harness.commits.all.map(\.client.rawValue) == ["ada", "bob", "eve"])
    }

    @Test func `a writer that waits too long for a transaction fails with BUSY`() async throws {
        let harness = try Harness(schema) { $0.limits.busyTimeout = .milliseconds(50) }
        await harness.run("BEGIN IMMEDIATE")
        #expect(await harness.run("INSERT INTO t(v) VALUES (2)", client: "bob").end.failure?.code == .busy)
        #expect(await harness.run("COMMIT").end.outcome != nil)
    }

    @Test func `an idle transaction is rolled back and its client is notified`() async throws {
        let harness = try Harness(schema) { $0.limits.transactionIdleTimeout = .milliseconds(50) }
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        await harness.events.nextRollback()
        #expect(await harness.run("INSERT INTO t(v) VALUES (2)", client: "bob").end.outcome != nil)
        let late = ["INSERT INTO t(v) VALUES (3)", "INSERT INTO t(v) VALUES (4)", "COMMIT"].map { harness.start($0) }
        for query in late { #expect(await query.sink.end().failure?.code == .transactionTimedOut) }
        #expect(await harness.run("INSERT INTO t(v) VALUES (5)").end.outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t ORDER BY v") == [[.integer(2)], [.integer(5)]])
    }

    @Test func `beginning another transaction acknowledges the end of the previous one`() async throws {
        let harness = try Harness(schema) { $0.limits.transactionIdleTimeout = .milliseconds(50) }
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        await harness.events.nextRollback()
        let another = ["BEGIN", "INSERT INTO t(v) VALUES (2)", "ROLLBACK"].map { harness.start($0) }
        for query in another { #expect(await query.sink.end().outcome != nil) }
        #expect(try harness.database.query("SELECT v FROM t") == [])
    }

    @Test func `a transaction that is open for too long is rolled back although it is busy`() async throws {
        let harness = try Harness(schema) { $0.limits.maxTransactionTime = .milliseconds(50) }
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        var ends: [RecordingSink.End] = []
        // Never idle for long, and always ended by the limit only.
        while ends.last?.failure == nil, ends.count < 1_000_000 {
            ends.append(await harness.run("INSERT INTO t(v) VALUES (NULL)").end)
        }
        #expect(ends.last?.failure?.code == .transactionTimedOut)
        #expect(ends.last?.failure?.message.contains("open for longer") == true)
        await harness.events.nextRollback()
        #expect(harness.events.failures.map(\.code) == [.transactionTimedOut])
        #expect(await harness.run("INSERT INTO t(v) VALUES (2)", client: "bob").end.outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(2)]])
    }

    @Test func `a cancelled write takes its transaction along, and what was to be part of it`() async throws {
        let harness = try Harness("\(schema); CREATE TABLE big(v)")
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        let endless = harness.start("INSERT INTO big \(endlessQuery.replacing("count(*)", with: "n"))")
        await endless.sink.wait { !$0.progress.isEmpty }
        let within = harness.start("INSERT INTO t(v) VALUES (2)")
        let commit = harness.start("COMMIT")
        let behind = harness.start("INSERT INTO t(v) VALUES (3)")
        harness.service.cancel(endless.queryId, by: .administrator)
        #expect(await endless.sink.end().cancelReason == .client)
        #expect(endless.sink.log.end?.inTransaction == false)
        #expect(await within.sink.end().failure?.code == .transactionRolledBack)
        #expect(await commit.sink.end().failure?.code == .transactionRolledBack)
        #expect(await behind.sink.end().outcome != nil)
        await harness.events.nextRollback()
        #expect(harness.events.failures.map(\.code) == [.transactionRolledBack])
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(3)]])
    }

    @Test func `once SQLite has rolled back, everything fails until the client takes note`() async throws {
        let harness = try Harness(schema)
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        let end = await harness.run("INSERT OR ROLLBACK INTO t(v) VALUES (1)").end
        #expect(end.failure?.code == .constraint)
        #expect(end.inTransaction == false)
        for sql in ["INSERT INTO t(v) VALUES (2)", "SELECT 1", "ROLLBACK TO a", "ROLLBACK"] {
            #expect(await harness.run(sql).end.failure?.code == .transactionRolledBack)
        }
        #expect(await harness.run("INSERT INTO t(v) VALUES (4)").end.outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(4)]])
    }

    @Test func `a script that would have ended the transaction itself leaves nothing to take note of`() async throws {
        let harness = try Harness(schema)
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        #expect(await harness.run("INSERT OR ROLLBACK INTO t(v) VALUES (1); COMMIT").end.inTransaction == false)
        #expect(await harness.run("INSERT INTO t(v) VALUES (2)").end.outcome != nil)
    }

    @Test func `a query sent before BEGIN is not part of the transaction`() async throws {
        let harness = try Harness(schema)
        for count in 1...50 {
            let running = [
                "WITH x AS (SELECT \(count) AS a) INSERT INTO t(v) SELECT a FROM x", "BEGIN", "DELETE FROM t",
                "ROLLBACK",
            ].map { harness.start($0) }
            for query in running { #expect(await query.sink.end().outcome != nil) }
            #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(Int64(count))]])
        }
    }

    @Test func `foreign keys are enforced for all clients when configured`() async throws {
        let schema = "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)"
        let plain = try Harness(schema)
        #expect(await plain.run("INSERT INTO c VALUES (1)").end.outcome != nil)
        let strict = try Harness(schema) { $0.enforcesForeignKeys = true }
        #expect(await strict.run("INSERT INTO c VALUES (1)").end.failure?.code == .constraint)
        #expect(
            await strict.run("PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1)") { $0.atomic = false }.end.outcome
                != nil
        )
        #expect(await strict.run("INSERT INTO c VALUES (1)", client: "bob").end.failure?.code == .constraint)
    }

    @Test func `a client that goes takes its transaction and its queries with it`() async throws {
        let harness = try Harness(schema)
        await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)")
        let read = harness.start(endlessQuery)
        let waiting = harness.start("INSERT INTO t(v) VALUES (2)")
        let other = harness.start("INSERT INTO t(v) VALUES (3)", client: "bob")
        await read.sink.wait { $0.readOnly != nil }
        harness.service.clientDisconnected(ClientKey("ada"))
        #expect(await read.sink.end().cancelReason == .disconnect)
        #expect(await waiting.sink.end().cancelReason == .disconnect)
        #expect(await other.sink.end().outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(3)]])
    }

    @Test func `a transaction left open by a request without a session is rolled back`() async throws {
        let harness = try Harness(schema)
        let end = await harness.run("BEGIN; INSERT INTO t(v) VALUES (1)") { $0.allowsOpenTransaction = false }.end
        #expect(end.failure?.code == .transactionLeftOpen)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(0)]])
        #expect(await harness.run("INSERT INTO t(v) VALUES (1)", client: "bob").end.outcome != nil)
    }

    @Test func `requests sent without waiting run in order from BEGIN on`() async throws {
        let harness = try Harness(schema)
        let running = [
            "BEGIN", "INSERT INTO t(v) VALUES (1)", "SELECT count(*) FROM t", "ROLLBACK", "SELECT count(*) FROM t",
        ].map { harness.start($0) }
        for query in running { #expect(await query.sink.end().outcome != nil) }
        #expect(running[2].sink.log.rows == [[.integer(1)]])
        #expect(running[4].sink.log.rows == [[.integer(0)]])
    }

    @Test func `a deferred foreign key that fails at COMMIT leaves the transaction open`() async throws {
        let harness = try Harness(
            "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)"
        )
        await harness.run("PRAGMA foreign_keys = ON; BEGIN; INSERT INTO c VALUES (1)")
        let failure = await harness.run("COMMIT").end.failure
        #expect(failure?.code == .constraint)
        #expect(failure?.inTransaction == true)
        await harness.run("INSERT INTO p VALUES (1)")
        #expect(await harness.run("COMMIT").end.outcome?.receipt == "test:1")
    }

    // MARK: Nothing leaks between clients

    @Test func `a PRAGMA lasts for its request and is unseen by the next client`() async throws {
        let harness = try Harness()
        let before = await harness.rows("PRAGMA recursive_triggers; PRAGMA foreign_keys")
        let script =
            "PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers; PRAGMA foreign_keys"
        #expect(await harness.run(script) { $0.atomic = false }.log.rows == [[.integer(1)], [.integer(1)]])
        // A write in between ensures that the writer is used.
        let after = await harness.run(
            "CREATE TABLE x(v); PRAGMA recursive_triggers; PRAGMA foreign_keys",
            client: "bob"
        ).log.rows
        #expect(after == before)
    }

    @Test func `temporary tables, views and triggers are gone with their transaction`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        await harness.run("BEGIN")
        await harness.run("CREATE TEMP TABLE secret(v); INSERT INTO secret VALUES (1); CREATE TEMP VIEW w AS SELECT 1")
        await harness.run("CREATE TEMP TRIGGER spy AFTER INSERT ON t BEGIN INSERT INTO secret VALUES (new.v); END")
        #expect(await harness.rows("SELECT count(*) FROM secret") == [[.integer(1)]])
        await harness.run("COMMIT")
        #expect(await harness.run("INSERT INTO t VALUES (2)", client: "bob").end.outcome != nil)
        let (end, _) = await harness.run("INSERT INTO t SELECT v FROM secret", client: "bob")
        #expect(end.failure?.message == "no such table: secret")
        let left = await harness.run("INSERT INTO t VALUES (3); SELECT count(*) FROM sqlite_temp_schema", client: "bob")
        #expect(left.log.rows == [[.integer(0)]])
    }
}
