import QueryEngine
import SQLiteConnection
import Synchronization
import Testing

/// Queries that arrive in one turn of an event loop.
struct SubmissionTests {
    /// An event loop whose turn ends when the test says so.
    private final class Loop {
        private let atEnd = Mutex<[@Sendable () -> Void]>([])

        var turn: SubmissionTurn { SubmissionTurn(of: self) { body in self.atEnd.withLock { $0.append(body) } } }

        /// - Returns: how often the end of the turn was awaited.
        @discardableResult
        func endTurn() -> Int {
            let bodies = atEnd.withLock { bodies in
                defer { bodies = [] }
                return bodies
            }
            for body in bodies { body() }
            return bodies.count
        }
    }

    @Test func `queries of several clients wait for the end of the turn together`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let loop = Loop()
        let running = (0..<5).map { harness.start("SELECT \($0)", client: "c\($0)", together: loop.turn) }
        #expect(loop.endTurn() == 1)
        for (index, query) in running.enumerated() {
            #expect(await query.sink.end().failure == nil)
            #expect(query.sink.log.rows == [[.integer(Int64(index))]])
        }
    }

    @Test func `the statements of a client run in order, whether they arrive in one turn or not`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let loop = Loop()
        let script = ["BEGIN", "INSERT INTO t VALUES (1)", "UPDATE t SET v = v + 1", "COMMIT", "SELECT v FROM t"]
        var running = script.prefix(3).map { harness.start($0, together: loop.turn) }
        loop.endTurn()
        running += script.dropFirst(3).map { harness.start($0, together: loop.turn) }
        loop.endTurn()
        for query in running { #expect(await query.sink.end().failure == nil) }
        #expect(running[4].sink.log.rows == [[.integer(2)]])
    }

    @Test func `many queries do not wait for the end of the turn`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let loop = Loop()
        let running = (0..<16).map { harness.start("SELECT \($0)", client: "c\($0)", together: loop.turn) }
        for query in running { #expect(await query.sink.end().failure == nil) }
    }

    @Test func `a query that does not wait takes the others with it`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let loop = Loop()
        let waiting = harness.start("SELECT 1", together: loop.turn)
        #expect(await harness.run("SELECT 2", client: "bob").end.failure == nil)
        #expect(await waiting.sink.end().failure == nil)
    }

    @Test func `each event loop ends its own turn`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let (first, second) = (Loop(), Loop())
        let waiting = harness.start("SELECT 1", together: first.turn)
        let other = harness.start("SELECT 2", client: "bob", together: second.turn)
        #expect(second.endTurn() == 1)
        for query in [waiting, other] { #expect(await query.sink.end().failure == nil) }
        let next = harness.start("SELECT 3", together: first.turn)
        // The end of the first turn has nothing left to do, and the next one is awaited again.
        #expect(first.endTurn() == 2)
        #expect(await next.sink.end().failure == nil)
    }

    @Test func `a query can be cancelled before the turn ends`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let loop = Loop()
        let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
        let waiting = harness.start(endless, together: loop.turn)
        #expect(harness.service.cancel(waiting.queryId, by: .administrator) == .cancelling)
        #expect(await waiting.sink.end().cancelReason == .client)
    }

    @Test func `a client that disconnects in the turn takes its queries with it`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let loop = Loop()
        let waiting = ["BEGIN", "INSERT INTO t VALUES (1)"].map { harness.start($0, together: loop.turn) }
        harness.service.clientDisconnected(ClientKey("ada"))
        for query in waiting { _ = await query.sink.end() }
        loop.endTurn()
        // The writer is free, and nothing was committed.
        #expect(await harness.rows("SELECT count(*) FROM t", client: "bob") == [[.integer(0)]])
        #expect(await harness.run("INSERT INTO t VALUES (2)", client: "bob").end.failure == nil)
    }
}
