import Foundation
import QueryEngine
import SQLiteConnection
import Tablecast
import TablecastClient
import Testing
import WireProtocol

/// The client against a real service.
@Suite(.timeLimit(.minutes(1))) struct ClientTests {
    /// A database with a service that can be stopped and started again on the same port.
    private final class Server {
        let path: String
        private(set) var service: TablecastService
        private(set) var port = 0
        private let configure: (inout ServerConfiguration) -> Void

        init(_ sql: String, _ configure: @escaping (inout ServerConfiguration) -> Void = { _ in }) async throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "client-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            path = folder.appending(path: "test.db").path
            let connection = try Connection(path: path, mode: .readWriteCreate)
            try connection.execute("PRAGMA journal_mode = WAL")
            try connection.execute(sql)
            connection.close()
            self.configure = configure
            service = try Self.service(path, port: 0, configure)
            try await start()
        }

        private static func service(
            _ path: String,
            port: Int,
            _ configure: (inout ServerConfiguration) -> Void
        ) throws -> TablecastService {
            var configuration = ServerConfiguration()
            configure(&configuration)
            configuration.port = port
            return try TablecastService(database: DatabaseConfiguration(path: path), server: configuration)
        }

        private func start() async throws {
            try await service.server.start()
            port = try #require(service.server.port)
        }

        func stop() async { await service.shutDown() }

        func startAgain() async throws {
            service = try Self.service(path, port: port, configure)
            try await start()
        }

        func client(token: String? = nil) throws -> TablecastClient {
            var client = try TablecastClient("ws://127.0.0.1:\(port)/ws", token: token)
            client.maxReconnectWait = .milliseconds(50)
            return client
        }

        func remove() async {
            await stop()
            try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent)  // best effort
        }
    }

    private func withServer(
        _ sql: String = "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        _ configure: @escaping (inout ServerConfiguration) -> Void = { _ in },
        _ body: (Server) async throws -> Void
    ) async throws {
        let server = try await Server(sql, configure)
        do {
            try await body(server)
        } catch {
            await server.remove()
            throw error
        }
        await server.remove()
    }

    // MARK: Queries

    @Test func `a query delivers its rows and its summary`() async throws {
        try await withServer { server in
            let client = try server.client()
            let inserted = try await client.execute("INSERT INTO t VALUES(1, 'a'), (2, x'00'), (3, ?)", [.real(0.5)])
            #expect(inserted.changes == 3)
            #expect(inserted.position?.sequence == 1)
            var rows = client.query("SELECT id, v FROM t WHERE id > ? ORDER BY id", [.integer(1)]).makeAsyncIterator()
            let first = try #require(try await rows.next())
            #expect(first["id"] == .integer(2))
            #expect(first["v"] == .blob([0]))
            #expect(first["x"] == nil)
            #expect(try await rows.next()?.values == [.integer(3), .real(0.5)])
            #expect(try await rows.next() == nil)
            #expect(rows.summary?.rowCount == 2)
        }
    }

    @Test func `an error of a query has the server's code and its place`() async throws {
        try await withServer { server in
            let error = await #expect(throws: TablecastClientError.self) {
                try await server.client().execute("SELECT x FORM t")
            }
            #expect(error?.code == .requestFailed)
            #expect(error?.errorCode == .sqlError)
            #expect(error?.sqlOffset == 14)
            #expect(error?.position == nil)
        }
    }

    @Test func `an error of a query that has committed before has the position of the commit`() async throws {
        try await withServer { server in
            let client = try server.client()
            let error = await #expect(throws: TablecastClientError.self) {
                try await client.execute("BEGIN; INSERT INTO t DEFAULT VALUES; COMMIT; SELECT nope")
            }
            let failed = try #require(error?.position)
            let next = try #require(try await client.execute("INSERT INTO t DEFAULT VALUES").position)
            #expect(failed.sequence + 1 == next.sequence)
        }
    }

    @Test func `a reader that does not read pauses its query, and other queries run`() async throws {
        try await withServer { server in
            let client = try server.client()
            let sql = """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
                SELECT i, hex(zeroblob(200)) FROM n
                """
            var rows = client.query(sql).makeAsyncIterator()
            #expect(try await rows.next()?.values.first == .integer(1))
            // Hundreds of megabytes are not sent to a reader that has taken one row.
            for _ in 0..<20 { try await client.execute("INSERT INTO t DEFAULT VALUES") }
            #expect(rows.summary == nil)
            #expect(try await rows.next()?.values.first == .integer(2))
        }
    }

    @Test func `releasing the iterator cancels the query`() async throws {
        try await withServer { server in
            let client = try server.client()
            var events = client.feed([.queries]).makeAsyncIterator()
            try await subscribed(&events)
            let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
            for try await _ in client.query(slow) { break }
            while let event = try await events.next() {
                guard case .message(let message) = event else { continue }
                if case .queryCancelled(let cancelled) = message.envelope.payload {
                    #expect(cancelled.reason == .disconnect)
                    break
                }
            }
        }
    }

    @Test func `another client cancels a query by its id`() async throws {
        try await withServer { server in
            let client = try server.client()
            let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
            var rows = client.query(QueryRequest(sql: slow, queryID: "slow")).makeAsyncIterator()
            _ = try await rows.next()
            try await client.cancel(queryID: "slow")
            let error = await #expect(throws: TablecastClientError.self) { while try await rows.next() != nil {} }
            #expect(error?.code == .queryCancelled)
            let unknown = await #expect(throws: TablecastClientError.self) { try await client.cancel(queryID: "slow") }
            #expect(unknown?.errorCode == .queryNotFound)
        }
    }

    @Test func `a connection runs a transaction of several requests`() async throws {
        try await withServer { server in
            let connection = try await server.client().connect()
            var messages = connection.messages.makeAsyncIterator()
            for (id, sql) in [("1", "BEGIN"), ("2", "INSERT INTO t VALUES(1, 1)"), ("3", "COMMIT")] {
                try await connection.send(ClientMessage(id: id, .executeQuery(QueryRequest(sql: sql))))
            }
            while let message = try await messages.next() {
                guard message.envelope.header.replyTo == "3" else { continue }
                guard case .queryComplete(let complete) = message.envelope.payload else { continue }
                #expect(complete.position?.sequence == 1)
                break
            }
            await connection.close()
        }
    }

    // MARK: Changes

    /// Reads up to the answer to the subscription.
    ///
    /// - Returns: the id of the client.
    @discardableResult
    private func subscribed(_ events: inout Feed.Iterator) async throws -> String {
        var clientID = ""
        while let event = try await events.next() {
            if case .connected(let server) = event { clientID = server.clientID }
            guard case .message(let message) = event, message.isReply else { continue }
            if message.envelope.header.type == .subscribed { return clientID }
        }
        return clientID
    }

    /// The number of inserted rows of the next transaction.
    private func insertions(_ events: inout Feed.Iterator) async throws -> (count: Int, position: Position?)? {
        while let event = try await events.next() {
            guard case .message(let message) = event, !message.isReply else { continue }
            guard case .tableModified(let change) = message.envelope.payload else { continue }
            guard case .rows(let rows) = change.change else { continue }
            return (rows.inserted, message.position)
        }
        return nil
    }

    @Test func `a feed has the changes of every process, and the position after each`() async throws {
        try await withServer { server in
            let client = try server.client()
            var events = try client.changes(of: ["t"], where: RowCondition(sql: "id > 1")).makeAsyncIterator()
            try await subscribed(&events)
            let other = try Connection(path: server.path, mode: .readWrite)
            other.setBusyTimeout(.seconds(20))
            try other.execute("INSERT INTO t VALUES(1, 1), (2, 2)")
            let change = try #require(try await insertions(&events))
            #expect(change.count == 1)
            #expect(change.position?.sequence == 1)
            other.close()
        }
    }

    @Test func `a feed goes on over a lost connection without a gap`() async throws {
        try await withServer { server in
            let client = try server.client()
            var events = try client.changes().makeAsyncIterator()
            let id = try await subscribed(&events)
            try await client.execute("INSERT INTO t DEFAULT VALUES")
            #expect(try await insertions(&events)?.position?.sequence == 1)
            #expect(server.service.server.disconnect(id, .tooSlow, reason: "test"))
            try await client.execute("INSERT INTO t DEFAULT VALUES")
            var seen: [String] = []
            while seen.last != "change", let event = try await events.next() {
                switch event {
                case .disconnected(let error, _): seen.append("\(error.closeCode ?? 0)")
                case .resumed: seen.append("resumed")
                case .message(let message) where message.position?.sequence == 2: seen.append("change")
                default: break
                }
            }
            #expect(seen == ["4413", "resumed", "change"])
        }
    }

    @Test func `a feed says when a restarted server cannot continue it`() async throws {
        try await withServer { server in
            var events = try server.client().changes().makeAsyncIterator()
            try await subscribed(&events)
            await server.stop()
            try await server.startAgain()
            var seen: [String] = []
            while seen.last != "missed", let event = try await events.next() {
                switch event {
                case .disconnected: if seen.last != "disconnected" { seen.append("disconnected") }
                case .missed: seen.append("missed")
                default: break
                }
            }
            #expect(seen == ["disconnected", "missed"])
            try await server.client().execute("INSERT INTO t DEFAULT VALUES")
            #expect(try await insertions(&events)?.count == 1)
        }
    }

    @Test func `a filter that the server rejects ends the feed with the reason`() async throws {
        try await withServer { server in
            let feed = try server.client().changes(of: ["t"], where: RowCondition(sql: "nothing = 1"))
            let error = await #expect(throws: TablecastClientError.self) { for try await _ in feed {} }
            #expect(error?.errorCode == .sqlError)
            #expect(error?.message.contains("nothing") == true)
        }
    }

    @Test func `a sequence that ends with an error closes its connection, also while its iterator is kept`()
        async throws
    {
        try await withServer { server in
            let client = try server.client()
            var clients = server.service.server.clientEvents().makeAsyncIterator()
            var feed = try client.changes(of: ["t"], where: RowCondition(sql: "nothing = 1")).makeAsyncIterator()
            await #expect(throws: TablecastClientError.self) { while try await feed.next() != nil {} }
            #expect(try await closeCode(of: &clients) == 1000)
            #expect(try await feed.next() == nil)
            var updates = client.live("SELECT nothing FROM t").makeAsyncIterator()
            await #expect(throws: TablecastClientError.self) { while try await updates.next() != nil {} }
            #expect(try await closeCode(of: &clients) == 1000)
            #expect(try await updates.next() == nil)
        }
    }

    @Test func `a message that the client cannot read ends the feed and its connection`() async throws {
        try await withServer { server in
            var clients = server.service.server.clientEvents().makeAsyncIterator()
            var feed = try server.client().feed([.tables, .notifications]).makeAsyncIterator()
            try await subscribed(&feed)
            server.service.server.broadcast(.custom(.tableCreated, "no object"), to: .notifications)
            let error = await #expect(throws: TablecastClientError.self) { while try await feed.next() != nil {} }
            #expect(error?.code == .protocolViolation)
            #expect(try await closeCode(of: &clients) == 1000)
            #expect(try await feed.next() == nil)
        }
    }

    /// Waits for the end of a client's connection.
    private func closeCode(of events: inout ClientEvents.AsyncIterator) async throws -> UInt16? {
        while let event = try await events.next() {
            if case .disconnected(_, let code, _) = event { return code }
        }
        return nil
    }

    @Test func `a cancelled task ends its feed`() async throws {
        try await withServer { server in
            let feed = try server.client().changes()
            let (started, continuation) = AsyncStream<Void>.makeStream()
            let task = Task {
                for try await _ in feed { continuation.yield() }
            }
            for await _ in started { break }
            task.cancel()
            try await task.value
        }
    }

    // MARK: Live queries

    @Test func `the rows of a live query follow the commits, also over a lost connection`() async throws {
        try await withServer("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 10), (2, 2)") {
            server in
            let client = try server.client()
            var updates = client.live("SELECT id, v FROM t WHERE v > ? ORDER BY v", [.integer(5)]).makeAsyncIterator()
            let first = try #require(try await updates.next())
            #expect(first.columns == ["id", "v"])
            #expect(first.rows == [["id": .integer(1), "v": .integer(10)]])
            #expect(first.changes == nil)
            try await client.execute("UPDATE t SET v = 7 WHERE id = 2")
            let second = try #require(try await updates.next())
            #expect(second.rows.map { $0["id"] } == [.integer(2), .integer(1)])
            #expect(second.changes?.count == 1)
            // Every client is closed, and the rows are those of the database again.
            await server.stop()
            try await server.startAgain()
            try await client.execute("DELETE FROM t WHERE id = 1")
            var third = try #require(try await updates.next())
            while third.rows.count > 1 { third = try #require(try await updates.next()) }
            #expect(third.rows.map { $0["id"] } == [.integer(2)])
        }
    }

    @Test func `a live query that cannot go on ends with the reason`() async throws {
        try await withServer { server in
            let client = try server.client()
            var updates = client.live("SELECT id FROM t").makeAsyncIterator()
            _ = try await updates.next()
            try await client.execute("DROP TABLE t")
            let error = await #expect(throws: TablecastClientError.self) { while try await updates.next() != nil {} }
            #expect(error?.code == .requestFailed)
            #expect(error?.message.contains("no such table: t") == true)
        }
    }

    // MARK: Connecting

    @Test func `errors of connecting say what is wrong and whether to try again`() async throws {
        #expect(throws: TablecastClientError.self) { try TablecastClient("ftp://host") }
        let nobody = try TablecastClient("ws://127.0.0.1:1/ws")
        let unreachable = await #expect(throws: TablecastClientError.self) { try await nobody.connect() }
        #expect(unreachable?.code == .unreachable)
        #expect(unreachable?.isTransient == true)
        let feed = await #expect(throws: TablecastClientError.self) { for try await _ in try nobody.changes() {} }
        #expect(feed?.code == .unreachable)
        var tokens = TokenList()
        try tokens.add("correct-horse-battery", for: Identity(id: "ada", role: .admin))
        let authenticator = tokens
        try await withServer("CREATE TABLE t(id)", { $0.authenticator = authenticator }) { server in
            let error = await #expect(throws: TablecastClientError.self) {
                try await server.client(token: "wrong-horse-battery-1").connect()
            }
            #expect(error?.code == .connectionRefused)
            #expect(error?.httpStatus == 401)
            #expect(error?.isTransient == false)
            // Other statuses of a refusal.
            #expect([429, 502, 503, 504].allSatisfy(TablecastClientError.transientStatuses.contains))
            #expect(![400, 401, 403, 404, 426].contains(where: TablecastClientError.transientStatuses.contains))
            try await server.client(token: "correct-horse-battery").execute("SELECT 1")
        }
    }
}
