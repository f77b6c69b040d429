import Foundation
import RandomSupport
import SQLiteConnection
import Synchronization
import Testing

@testable import QueryEngine

struct CancelTests {
    private let endlessWrite =
        "INSERT INTO t(v) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c"

    @Test func `a running read is cancelled`() async throws {
        let harness = try Harness()
        let running = harness.start(endlessQuery)
        await running.sink.wait { $0.readOnly != nil }
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(await running.sink.end().cancelReason == .client)
    }

    @Test func `a running write is cancelled and leaves nothing`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let running = harness.start("CREATE TABLE u(v); \(endlessWrite)")
        await running.sink.wait { !$0.progress.isEmpty }
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(await running.sink.end().cancelReason == .client)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(0)]])
        #expect(try harness.database.query("SELECT count(*) FROM sqlite_schema") == [[.integer(1)]])
        #expect(harness.commits.all.isEmpty)
        #expect(await harness.run("INSERT INTO t VALUES (1)").end.outcome != nil)
    }

    @Test func `a statement that never calls the progress handler is cancelled too`() async throws {
        // Counting a b-tree is one step of the virtual machine.
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t \(manyRows)")
        let running = harness.start(
            "SELECT \(Array(repeating: "(SELECT count(*) FROM t)", count: 400).joined(separator: "+"))"
        )
        await running.sink.wait { $0.readOnly != nil }
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(await running.sink.end().cancelReason == .client)
    }

    #if os(Linux)
        /// Deleting the temporary file of a long sort takes tenths of a second.
        @Test func `a cancelled sort is reported before its temporary file is deleted`() async throws {
            let harness = try Harness { $0.limits.cacheBytes = 1 << 20 }
            let hasFile = Mutex(false)
            let sink = RecordingSink(onCancelled: { hasFile.withLock { $0 = Self.hasTemporaryFile } })
            let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c"
            let running = harness.start("SELECT max(n) FROM (\(endless) ORDER BY -n LIMIT -1 OFFSET 1)", sink: sink)
            while !Self.hasTemporaryFile { try await Task.sleep(for: .milliseconds(1)) }
            harness.service.cancel(running.queryId, by: .administrator)
            #expect(await sink.end().cancelReason == .client)
            #expect(hasFile.withLock { $0 })
            // The client's next query need not wait for it, and its id can be reused.
            #expect(await harness.run("SELECT 1") { $0.queryId = running.queryId }.end.outcome != nil)
        }

        /// SQLite uses such names, and deletes the files as soon as they are open. Those of other tests are smaller.
        private static var hasTemporaryFile: Bool {
            let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
            return files.contains { file in
                let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(file)")
                guard path?.contains("etilqs_") ?? false else { return false }
                var status = stat()
                return stat("/proc/self/fd/\(file)", &status) == 0 && status.st_size > 64 << 20
            }
        }
    #endif

    @Test func `an unresponsive read is ended for its client, and does not block other reads`() async throws {
        let harness = try Harness {
            $0.limits.readerCount = 1
            $0.limits.spareReaderCount = 1
        }
        // One call of a function that takes seconds without a callback.
        let service = harness.service
        let sink = RecordingSink(onStarted: { service.cancel("silent", by: .administrator) })
        let silent = harness.start("SELECT length(printf('%.*c', 300000000, 'x'))", sink: sink) {
            $0.queryId = "silent"
        }
        #expect(await silent.sink.end().cancelReason == .client)
        #expect(await harness.rows("SELECT 2", client: "bob") == [[.integer(2)]])
        #expect(await harness.run("SELECT 3", client: "bob") { $0.queryId = silent.queryId }.end.outcome != nil)
        #expect(silent.sink.log.rows.isEmpty)
        #expect(!silent.sink.log.isBroken)
    }

    @Test func `the executor and the thread that abandons a read never both use its sink`() {
        let query = Query(
            id: 1,
            request: SQLRequest(queryId: "q", sql: "SELECT 1"),
            client: ClientKey("ada"),
            sink: RecordingSink(),
            outline: ScriptOutline("SELECT 1"),
            timeout: .seconds(10)
        )
        #expect(query.takeSink() == .kept)
        #expect(query.abandon() == nil, "the executor may be using it")
        query.releaseSink()
        #expect(query.takeSink() == .takenBack)
        query.releaseSink()
        #expect(query.abandon() != nil)
        #expect(query.takeSink() == .lost)
        #expect(query.abandon() == nil)
        #expect(query.finish(.cancelled(.client, rowCount: 0)) == nil)
    }

    @Test func `a query is cancelled while it waits for a reader`() async throws {
        let harness = try Harness { $0.limits.readerCount = 1 }
        let running = harness.start(endlessQuery)
        let waiting = harness.start("SELECT 1")
        harness.service.cancel(waiting.queryId, by: .administrator)
        #expect(await waiting.sink.end().cancelReason == .client)
        #expect(waiting.sink.log.readOnly == nil)
        #expect(running.sink.log.end == nil)
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(await running.sink.end().cancelReason == .client)
    }

    @Test func `a query is cancelled while it waits for another client's transaction`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        await harness.run("BEGIN; INSERT INTO t VALUES (1)")
        let waiting = harness.start("INSERT INTO t VALUES (2)", client: "bob")
        harness.service.cancel(waiting.queryId, by: .administrator)
        #expect(await waiting.sink.end().cancelReason == .client)
        #expect(await harness.run("COMMIT").end.outcome != nil)
    }

    @Test func `a write is cancelled while another process holds the lock`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let foreign = try Connection(path: harness.database.path, mode: .readWrite)
        // The service may be opening its connections.
        foreign.setBusyTimeout(.seconds(10))
        try foreign.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (0)")
        let waiting = harness.start("INSERT INTO t VALUES (2)") { $0.progressInterval = .milliseconds(20) }
        await waiting.sink.wait { $0.progress.contains { $0.message.contains("lock") } }
        harness.service.cancel(waiting.queryId, by: .administrator)
        #expect(await waiting.sink.end().cancelReason == .client)
        try foreign.execute("COMMIT")
        #expect(await harness.run("INSERT INTO t VALUES (3)").end.outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(0)], [.integer(3)]])
    }

    @Test func `a lock of another process that lasts too long is BUSY`() async throws {
        let harness = try Harness("CREATE TABLE t(v)") { $0.limits.busyTimeout = .milliseconds(50) }
        let foreign = try Connection(path: harness.database.path, mode: .readWrite)
        foreign.setBusyTimeout(.seconds(10))
        try foreign.execute("BEGIN IMMEDIATE")
        #expect(await harness.run("INSERT INTO t VALUES (2)").end.failure?.code == .busy)
    }

    @Test func `a query that sleeps for its receiver is cancelled`() async throws {
        let harness = try Harness()
        let running = harness.start(manyRows, sink: RecordingSink(isWritable: false))
        await running.sink.wait { $0.batches > 0 }
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(await running.sink.end().cancelReason == .client)
        #expect(running.sink.log.batches == 1)
    }

    @Test func `a cancelled RETURNING is undone, and the transaction around it stays open`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        await harness.run("BEGIN; INSERT INTO t VALUES (0)")
        let running = harness.start(returning, sink: RecordingSink(isWritable: false))
        await running.sink.wait { $0.batches > 0 }
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(await running.sink.end().cancelReason == .client)
        #expect(await harness.rows("SELECT v FROM t") == [[.integer(0)]])
        #expect(await harness.run("COMMIT").end.outcome?.receipt == "test:1")
    }

    @Test func `a RETURNING whose receiver stops for too long is undone, and the transaction stays open`() async throws
    {
        let harness = try Harness("CREATE TABLE t(v)") { $0.limits.maxWriterPause = .milliseconds(30) }
        await harness.run("BEGIN; INSERT INTO t VALUES (0)")
        let end = await harness.start(returning, sink: RecordingSink(isWritable: false)).sink.end()
        #expect(end.failure?.code == .interrupted)
        #expect(end.inTransaction == true)
        #expect(await harness.rows("SELECT v FROM t") == [[.integer(0)]])
        #expect(await harness.run("COMMIT").end.outcome?.receipt == "test:1")
    }

    /// More rows than a batch has.
    private let returning =
        "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000) SELECT n FROM c RETURNING v"

    @Test(arguments: [endlessQuery, "SELECT 1; \(endlessQuery)"])
    func `a timeout ends a running query`(sql: String) async throws {
        let harness = try Harness()
        let running = harness.start(sql) { $0.timeout = .milliseconds(30) }
        #expect(await running.sink.end().cancelReason == .timeout)
    }

    @Test func `a timeout ends a waiting query`() async throws {
        let harness = try Harness { $0.limits.readerCount = 1 }
        let running = harness.start(endlessQuery)
        let waiting = harness.start("SELECT 1", client: "bob") { $0.timeout = .milliseconds(30) }
        #expect(await waiting.sink.end().cancelReason == .timeout)
        #expect(running.sink.log.end == nil)
        harness.service.clientDisconnected(ClientKey("ada"))
        #expect(await running.sink.end().cancelReason == .disconnect)
    }

    @Test func `shutting down cancels what runs and waits, rolls back, and ends the threads`() async throws {
        let harness = try Harness("CREATE TABLE t(v)") { $0.limits.readerCount = 1 }
        await harness.run("BEGIN; INSERT INTO t VALUES (1)", client: "bob")
        let running = harness.start(endlessQuery)
        let waiting = harness.start("SELECT 1")
        #expect(await harness.service.shutDown())
        #expect(await running.sink.end().cancelReason == .shutdown)
        #expect(await waiting.sink.end().cancelReason == .shutdown)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(0)]])
    }

    @Test func `cancels at random moments never touch the next query`() async throws {
        var random = SeededGenerator.announced()
        let harness = try Harness("CREATE TABLE t(v)") { $0.limits.readerCount = 1 }
        for _ in 0..<200 {
            let victim = harness.start(
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 300000) SELECT count(*) FROM c"
            )
            let next = harness.start(
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000) SELECT count(*) FROM c",
                client: "bob"
            )
            for _ in 0..<Int.random(in: 0..<2_000, using: &random) { _ = victim.sink.isWritable }
            harness.service.cancel(victim.queryId, by: .administrator)
            _ = await victim.sink.end()
            #expect(await next.sink.end().outcome != nil)
        }
    }
}
