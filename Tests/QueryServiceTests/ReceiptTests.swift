import QueryService
import SQLiteConnection
import Synchronization
import Testing

/// What the queries of the writer wait for, and what does not wait for it.
struct ReceiptTests {
    @Test func `a query ends once the position of its commit is known, and the writer goes on meanwhile`() async throws
    {
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

    @Test func `a script that fails says so after what it committed was told`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        harness.commits.withholdReceipts()
        let running = harness.start("INSERT INTO t VALUES (1); INSERT INTO none VALUES (2)") { $0.atomic = false }
        await harness.commits.wait(for: 1)
        #expect(await harness.rows("SELECT v FROM t", client: "bob") == [[.integer(1)]])
        // The writer has done with it when it runs the next one.
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
        // Refused from the moment that the shutdown has begun.
        while await harness.run("SELECT 1", client: "bob").end.outcome != nil {}
        #expect(running.sink.log.end == nil)
        harness.commits.fulfilReceipts()
        #expect(await isOver)
        #expect(running.sink.log.end?.outcome?.receipt == "test:1")
    }

    @Test func `the first word about a receipt counts, and everybody who asks hears it`() {
        let receipt = CommitReceipt()
        let heard = Mutex<[String?]>([])
        receipt.whenKnown { position in heard.withLock { $0.append(position) } }
        receipt.whenKnown { position in heard.withLock { $0.append(position) } }
        receipt.fulfil("a")
        receipt.fulfil(nil)
        receipt.whenKnown { position in heard.withLock { $0.append(position) } }
        #expect(heard.withLock { $0 } == ["a", "a", "a"])
    }
}
