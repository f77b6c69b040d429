import ChangeCapture
import Hummingbird
import Logging
import SQLiteConnection
import ServiceLifecycle
import Tablecast
import TablecastHummingbird
import Testing
import WebSocketTransport
import WireProtocol

/// A service in an application that is shut down.
@Suite(.timeLimit(.minutes(1))) struct LifecycleTests {
    private let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    @Test func `an application ends gracefully under a WebSocket, an event stream and running queries`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        let router = Router()
        router.addTablecast(service)
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        var application = Application(
            router: router,
            server: .tablecast(service.server),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) }
        )
        application.addServices(service)
        let group = ServiceGroup(configuration: .init(services: [application], logger: application.logger))
        async let running: Void = group.run()
        let port = try #require(await ports.first { _ in true })

        let client = try await TestClient(port)
        try await client.send(#"{"type":"query:execute","id":"q","data":{"sql":"\#(endless)"}}"#)
        _ = try await client.next(.queryStarted)
        async let events = HTTPRequest(port: port, path: "/events?channels=queries").response()
        // The stream is open once the server counts it.
        while service.server.clientCount < 2 { await Task.yield() }

        await group.triggerGracefulShutdown()
        let end = try await client.next(.queryCancelled)
        guard case .queryCancelled(let cancelled) = end.payload else { return }
        #expect(cancelled.reason == .shutdown)
        await client.readToEnd()
        #expect(await client.connection.status.code == 1001)
        #expect(try await events.contains(#""reason":"shutdown""#))
        try await running
        #expect(service.server.clientCount == 0)
    }

    @Test func `a server of its own runs as a service`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        var configuration = ServerConfiguration()
        configuration.port = 0
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path), server: configuration)
        let group = ServiceGroup(
            configuration: .init(services: [service, service.server], logger: Logger(label: "test"))
        )
        async let running: Void = group.run()
        while service.server.port == nil { await Task.yield() }
        let client = try await TestClient(try #require(service.server.port))
        try await client.send(#"{"type":"query:execute","id":"q","data":{"sql":"\#(endless)"}}"#)
        _ = try await client.next(.queryStarted)
        await group.triggerGracefulShutdown()
        _ = try await client.next(.queryCancelled)
        await client.readToEnd()
        #expect(await client.connection.status.code == 1001)
        try await running
    }

    @Test func `shutting down twice returns twice`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        async let first: Void = service.shutDown()
        async let second: Void = service.shutDown()
        _ = await (first, second)
        await service.shutDown()
    }
}

/// Queries and changes without a network.
@Suite(.timeLimit(.minutes(1))) struct InProcessTests {
    private func withService(_ sql: String, _ body: (TablecastService) async throws -> Void) async throws {
        let database = try TemporaryDatabase(sql)
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        try await body(service)
        await service.shutDown()
    }

    @Test func `rows come with their columns and values`() async throws {
        try await withService("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (9007199254740993, NULL)") {
            service in
            var rows: [[SQLiteValue]] = []
            for try await row in service.query("SELECT a, b FROM t WHERE a >= ? ORDER BY a", [.integer(1)]) {
                #expect(row["b"] == row.values[1] && row["c"] == nil)
                rows.append(row.values)
            }
            #expect(rows == [[.integer(1), .text("x")], [.integer(9_007_199_254_740_993), .null]])
        }
    }

    @Test func `a write returns what it did and the position of its commit`() async throws {
        try await withService("CREATE TABLE t(a)") { service in
            var changes = service.changes().makeAsyncIterator()
            let summary = try await service.execute("INSERT INTO t VALUES (?), (2)", [.text("one")])
            #expect(summary.changes == 2 && summary.lastInsertRowID == 2)
            let transaction = try #require(try await changes.next())
            #expect(transaction.position == summary.position)
            #expect(transaction.username == "application")
            guard case .rows(let rows)? = transaction.changes.events.first else { return }
            let inserted = rows.rows.compactMap { row in row.after?[0] }
            #expect(inserted == [.text("one"), .integer(2)])
        }
    }

    @Test func `an error names its code and its place`() async throws {
        try await withService("CREATE TABLE t(a)") { service in
            let error = await #expect(throws: QueryError.self) { try await service.execute("SELECT nme FROM t") }
            #expect(error?.code == .sqlError && error?.sqlOffset == 7)
            #expect(error?.position == nil)
        }
    }

    @Test func `an error of a query that has committed before has the position of the commit`() async throws {
        try await withService("CREATE TABLE t(a)") { service in
            var changes = service.changes().makeAsyncIterator()
            let error = await #expect(throws: QueryError.self) {
                try await service.execute("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT nope")
            }
            let transaction = try #require(try await changes.next())
            #expect(transaction.position == error?.position)
        }
    }

    @Test func `a reader that takes its time holds the query, and every row arrives`() async throws {
        try await withService("") { service in
            // 20 MB of rows through a buffer of one.
            let sql = """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                SELECT i, zeroblob(1000) FROM n
                """
            var expected: Int64 = 1
            for try await row in service.query(sql) {
                #expect(row.values.first == .integer(expected))
                expected += 1
            }
            #expect(expected == 20_001)
        }
    }

    @Test func `every row arrives however reader and query alternate`() async throws {
        try await withService("") { service in
            // Small batches, so that the reader often takes the last row before the query ends the batch.
            let sql = """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
                SELECT i, zeroblob(8000) FROM n
                """
            for _ in 0..<150 {
                var count = 0
                for try await _ in service.query(sql) { count += 1 }
                #expect(count == 300)
            }
        }
    }

    @Test func `ending the iteration cancels the query`() async throws {
        try await withService("") { service in
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, zeroblob(1000) FROM n"
            for try await row in service.query(sql) where row.values.first == .integer(10) { break }
            // The four readers are free again.
            for _ in 0..<5 { try await service.execute("SELECT 1") }
        }
    }

    @Test func `cancelling the task ends the query with an error`() async throws {
        try await withService("") { service in
            let (started, continuation) = AsyncStream<Void>.makeStream()
            let task = Task {
                let sql =
                    "SELECT 1 UNION ALL SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT * FROM n)"
                for try await _ in service.query(sql) { continuation.yield() }
            }
            for await _ in started { break }
            task.cancel()
            await #expect(throws: QueryError.self) { try await task.value }
        }
    }

    @Test func `a reader of changes that falls behind gets an error, never a gap`() async throws {
        try await withService("CREATE TABLE t(a)") { service in
            let changes = service.changes(maxBufferedTransactions: 2)
            for _ in 0..<5 { try await service.execute("INSERT INTO t VALUES (1)") }
            var count = 0
            let error = await #expect(throws: CommittedTransactions.Interruption.self) {
                for try await _ in changes { count += 1 }
            }
            #expect(error == .bufferOverflow(maxTransactions: 2) && count == 2)
        }
    }
}
