import QueryEngine
import SQLiteConnection
import Synchronization
import Testing

/// What a writer's query waits for, and what does not wait for it.
struct ReceiptTests {
    @Test func `a query ends once the position of its commit is known, without delaying the writer`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        harness.commits.withholdReceipts()
        let first = harness.start("INSERT INTO t VALUES (1)")
        let second = harness.start("INSERT INTO t VALUES (2)", client: "bob")
        await harness.commits.wait(for: 2)
        #expect(await harness.rows("SELECT v FROM t", client: "eve") == [[.integer(1)], [.integer(2)]])
        #expect(first.sink.log.end == nil && second.sink.log.end == nil)
        harness.commits.fulfilReceipts()
        #expect(await first.sink.end().outcome?.receipt == "test:1")
        #expect(await second.sink.end().outcome?.receipt == "test:2")
        #expect(!first.sink.log.isBroken)
    }

    @Test func `a query that waits for its position keeps its id, and it is too late to cancel it`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        harness.commits.withholdReceipts()
        let running = harness.start("INSERT INTO t VALUES (1)")
        await harness.commits.wait(for: 1)
        let other = await harness.run("SELECT 1") { $0.queryId = running.queryId }.end
        #expect(other.failure?.code == .queryIdInUse)
        #expect(harness.service.cancel(running.queryId, by: .administrator) == .cancelling)
        harness.commits.fulfilReceipts()
        #expect(await running.sink.end().outcome?.receipt == "test:1")
        #expect(harness.service.cancel(running.queryId, by: .administrator) == .notFound)
        #expect(await harness.run("SELECT 1") { $0.queryId = running.queryId }.end.outcome != nil)
    }

    @Test(
        arguments: [
            "UPDATE t SET v = 2", "UPDATE t SET v = 2;;  -- the end\n", "UPDATE t SET v = 1; UPDATE t SET v = 2",
            "BEGIN; UPDATE t SET v = 2; COMMIT", "SAVEPOINT a; UPDATE t SET v = 2; RELEASE a; /* the end */",
            "ALTER TABLE t DROP COLUMN w; UPDATE t SET v = 2", "CREATE TABLE u AS SELECT 1", "VACUUM",
            "PRAGMA user_version = 2", "PRAGMA incremental_vacuum", "UPDATE t SET v = 2 RETURNING v",
        ]
    )
    func `a cancel that comes after the last commit is too late`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v, w); INSERT INTO t VALUES (1, 1)")
        let service = harness.service
        harness.commits.onCommit { commit in service.cancel(commit.queryId, by: .administrator) }
        let end = await harness.run(sql).end
        #expect(end.outcome != nil, "\(end)")
    }

    @Test(arguments: [["BEGIN", "COMMIT"], ["SAVEPOINT a", "RELEASE a"], ["BEGIN", "END TRANSACTION;"]])
    func `a cancel that comes after the commit of a client's transaction is too late`(control: [String]) async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let service = harness.service
        harness.commits.onCommit { commit in service.cancel(commit.queryId, by: .administrator) }
        await harness.run(control[0])
        await harness.run("INSERT INTO t VALUES (1)")
        #expect(await harness.run(control[1]).end.outcome?.inTransaction == false)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(1)]])
    }

    @Test func `a cancel between two commits of a script keeps what was committed`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let service = harness.service
        harness.commits.onCommit { commit in service.cancel(commit.queryId, by: .administrator) }
        let sql = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"
        let (end, log) = await harness.run(sql) { $0.atomic = false }
        #expect(end.cancelReason == .client)
        #expect(log.receipt == "test:1")
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(1)]])
    }

    @Test(
        arguments: [
            ("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); SELECT nope", "test:2"),
            ("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT nope", "test:1"),
            ("SAVEPOINT a; INSERT INTO t VALUES (1); RELEASE a; BEGIN; INSERT INTO t VALUES (2)", "test:1"),
            ("INSERT INTO t VALUES (1); INSERT INTO none VALUES (2)", "test:1"),
            ("SELECT 1; INSERT INTO none VALUES (2)", nil),
            ("BEGIN; INSERT INTO t VALUES (1); ROLLBACK; SELECT nope", nil),
        ]
    )
    func `a query that fails says what it has committed before`(sql: String, receipt: String?) async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let failure = await harness.run(sql) { ($0.atomic, $0.allowsOpenTransaction) = (false, false) }.end.failure
        #expect(failure != nil)
        #expect(failure?.receipt == receipt)
    }

    @Test(arguments: [true, false])
    func `reports go on while the position is waited for, and never go back`(hasEstimate: Bool) async throws {
        // Long enough for an estimate, which another thread makes while the statement runs.
        let harness = try Harness(
            "CREATE TABLE t(v); INSERT INTO t \(manyRows); INSERT INTO t SELECT v FROM t",
            readsLog: true
        )
        harness.commits.withholdReceipts()
        let sql = hasEstimate ? "UPDATE t SET v = v + 1" : "UPDATE t SET v = v + 1; DELETE FROM t WHERE v < 9"
        let running = harness.start(sql) { $0.progressInterval = .milliseconds(20) }
        await running.sink.wait { $0.progress.count { $0.message == "reading the commit from the log" } >= 3 }
        harness.commits.fulfilReceipts()
        #expect(await running.sink.end().outcome?.receipt == "test:1")
        let log = running.sink.log
        #expect(log.progress.allSatisfy { $0.elapsed <= log.end?.outcome?.duration ?? .zero })
        let fractions = log.progress.compactMap(\.fraction)
        #expect(fractions == fractions.sorted() && fractions.allSatisfy { $0 <= 0.99 })
        #expect((log.progress.last?.fraction != nil) == hasEstimate)
        #expect(zip(log.progress, log.progress.dropFirst()).allSatisfy { $0.elapsed <= $1.elapsed })
        #expect(!log.isBroken)
    }

    @Test func `a failing script reports its failure after its commits`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        harness.commits.withholdReceipts()
        let running = harness.start("INSERT INTO t VALUES (1); INSERT INTO none VALUES (2)") { $0.atomic = false }
        await harness.commits.wait(for: 1)
        #expect(await harness.rows("SELECT v FROM t", client: "bob") == [[.integer(1)]])
        // The writer has finished it when it runs the next one.
        let next = harness.start("INSERT INTO t VALUES (3)", client: "bob")
        await harness.commits.wait(for: 2)
        #expect(running.sink.log.end == nil && next.sink.log.end == nil)
        harness.commits.fulfilReceipts()
        #expect(await running.sink.end().failure?.statementIndex == 1)
    }

    @Test func `a shutdown waits for the ends of queries that committed`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        harness.commits.withholdReceipts()
        let running = harness.start("INSERT INTO t VALUES (1)")
        await harness.commits.wait(for: 1)
        async let isOver = harness.service.shutDown(within: .seconds(60))
        // Refused as soon as the shutdown has begun.
        while await harness.run("SELECT 1", client: "bob").end.outcome != nil {}
        #expect(running.sink.log.end == nil)
        harness.commits.fulfilReceipts()
        #expect(await isOver)
        #expect(running.sink.log.end?.outcome?.receipt == "test:1")
    }

    private final class Owner: CommitReceiptOwner {
        let received = Mutex<[[UInt64: String?]]>([])
        func published(_ commits: [UInt64: PublishedCommit]) {
            received.withLock { $0.append(commits.mapValues(\.position)) }
        }
    }

    @Test func `the first value of a receipt counts, and every query that waits receives it`() {
        let receipt = CommitReceipt()
        let owner = Owner()
        receipt.notify(owner, of: 1)
        receipt.notify(owner, of: 2)
        receipt.fulfil("a")
        receipt.fulfil(nil)
        receipt.notify(owner, of: 3)
        #expect(owner.received.withLock { $0 } == [[1: "a", 2: "a"], [3: "a"]])
    }

    @Test func `receipts that are fulfilled together notify each owner once`() {
        let (ada, bob) = (Owner(), Owner())
        let receipts = (0..<3).map { _ in CommitReceipt() }
        receipts[0].notify(ada, of: 1)
        receipts[1].notify(ada, of: 2)
        receipts[2].notify(bob, of: 3)
        CommitReceipt.fulfil(receipts.map { ($0, PublishedCommit(position: "p")) })
        #expect(ada.received.withLock { $0 } == [[1: "p", 2: "p"]])
        #expect(bob.received.withLock { $0 } == [[3: "p"]])
    }

    @Test func `a commit is followed while queries wait for the writer, which then rests once`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let others = Mutex<[Harness.Running]>([])
        harness.commits.onCommit { [unowned harness] commit in
            guard commit.queryId == "q1" else { return }
            // Whether queries wait is known when the next one begins.
            for value in 2...4 {
                let running = harness.start("INSERT INTO t VALUES (\(value))", client: "client \(value)")
                others.withLock { $0.append(running) }
            }
        }
        _ = await harness.run("INSERT INTO t VALUES (1)")
        for running in others.withLock({ $0 }) { _ = await running.sink.end() }
        #expect(harness.commits.all.map(\.isFollowed) == [false, true, true, false])
        await harness.commits.waitForRest()
        #expect(harness.commits.rests == 1)
    }
}
