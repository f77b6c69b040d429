import Foundation
import Tablecast
import Testing
import WireProtocol

/// The service with a database, over real sockets.
@Suite(.timeLimit(.minutes(1))) struct TablecastServiceTests {
    /// The file lives as long as this does.
    private struct Running {
        let service: TablecastService
        let database: TemporaryDatabase
        let port: Int
    }

    private func start(_ sql: String = "") async throws -> Running {
        let database = try TemporaryDatabase(sql)
        var configuration = ServerConfiguration()
        configuration.port = 0
        let service = try TablecastService(
            database: DatabaseConfiguration(path: database.path),
            server: configuration
        )
        try await service.server.start()
        return Running(service: service, database: database, port: try #require(service.server.port))
    }

    @Test func `a query's rows come between its start and its end`() async throws {
        let running = try await start("CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 'x'), (2.5, NULL)")
        let client = try await TestClient(running.port)
        let end = try await client.run("SELECT a, b FROM t ORDER BY a", id: "r1")
        let mine = client.log.filter { $0.header.replyTo == "r1" }
        #expect(mine.map(\.header.type) == [.queryStarted, .queryRows, .queryComplete])
        guard case .queryRows(let rows) = mine[1].payload, case .queryComplete(let complete) = end.payload else {
            return
        }
        #expect(rows.columns == ["a", "b"])
        #expect(rows.rows == [.object(["a": .integer(1), "b": .text("x")]), .object(["a": .real(2.5), "b": .null])])
        #expect(complete.rowCount == 2)
        await client.close()
        await running.service.shutDown()
    }

    @Test func `another subscriber of queries receives a query's messages, without its rows`() async throws {
        let running = try await start()
        let other = try await TestClient(running.port, "channels=queries")
        _ = try await other.next(.subscribed)
        let client = try await TestClient(running.port)
        try await client.run("SELECT 1")
        #expect(try await other.next().header.type == .queryStarted)
        let complete = try await other.next()
        #expect(complete.header.type == .queryComplete)
        #expect(complete.header.replyTo == nil)
        await client.close()
        await other.close()
        await running.service.shutDown()
    }

    @Test func `subscribers receive what a query committed, with its position and author`() async throws {
        let running = try await start()
        let listener = try await TestClient(running.port)
        try await listener.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"rows":"values"}}"#)
        _ = try await listener.reply(to: "s")
        let client = try await TestClient(running.port, "username=ada")
        let end = try await client.run(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1,'a'),(2,'b'); UPDATE t SET v='c' WHERE id=2; DELETE FROM t WHERE id=1"
        )
        guard case .queryComplete(let complete) = end.payload else {
            Issue.record("\(end)")
            return
        }
        guard case .tableCreated(let created) = try await listener.next().payload else { return }
        #expect(created.tableName == "t")
        #expect(created.columns?.map(\.name) == ["id", "v"])
        let last = try await listener.next()
        guard case .tableModified(let modified) = last.payload, case .rows(let rows) = modified.change else { return }
        #expect(rows.inserted == 1)
        #expect(
            rows.rows == [
                RowChangePayload(
                    operation: .insert,
                    key: ["id": .integer(2)],
                    rowid: 2,
                    after: ["id": .integer(2), "v": .text("c")]
                )
            ]
        )
        #expect(modified.context.username == "ada")
        #expect(modified.context.origin == .service)
        #expect(modified.context.transaction?.isLast == true)
        #expect(created.context.transaction?.isLast == false)
        #expect(last.header.position == complete.position)
        await client.close()
        await listener.close()
        await running.service.shutDown()
    }

    @Test func `a script that fails at its end publishes nothing`() async throws {
        let running = try await start("CREATE TABLE t(id INTEGER PRIMARY KEY)")
        let listener = try await TestClient(running.port, "channels=tables")
        _ = try await listener.next(.subscribed)
        let end = try await listener.run(
            "INSERT INTO t VALUES(1); INSERT INTO t VALUES(2); INSERT INTO missing VALUES(3)"
        )
        guard case .queryError(let error) = end.payload else { return }
        #expect(error.code == .sqlError)
        #expect(error.statementIndex == 2)
        #expect(try await listener.drain().isEmpty)
        await listener.close()
        await running.service.shutDown()
    }

    @Test func `a query that would run for hours is cancelled from anywhere at once`() async throws {
        let running = try await start()
        let client = try await TestClient(running.port)
        try await client.send(
            #"{"type":"query:execute","id":"q","data":{"queryId":"long","progressInterval":20,"sql":"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"}}"#
        )
        _ = try await client.next(.queryProgress)
        let other = try await TestClient(running.port)
        try await other.run("SELECT 1")
        // Clients are not identified here, so all of them may.
        try await other.send(#"{"type":"query:cancel","data":{"queryId":"long"}}"#)
        guard case .queryCancelled(let cancelled) = try await client.next(.queryCancelled).payload else { return }
        #expect(cancelled.reason == .client)
        await client.close()
        await other.close()
        await running.service.shutDown()
    }

    @Test func `a client that comes back with its position misses nothing`() async throws {
        let running = try await start("CREATE TABLE t(id INTEGER PRIMARY KEY)")
        let writer = try await TestClient(running.port)
        let listener = try await TestClient(running.port, "channels=tables")
        _ = try await listener.next(.subscribed)
        try await writer.run("INSERT INTO t VALUES(1)")
        let position = try #require(try await listener.next(.tableModified).header.position)
        await listener.close()
        try await writer.run("INSERT INTO t VALUES(2)")
        try await writer.run("INSERT INTO t VALUES(3)")
        let again = try await TestClient(running.port)
        try await again.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"since":"\#(position)"}}"#)
        guard case .subscribed(let subscribed) = try await again.reply(to: "s").payload else { return }
        #expect(subscribed.recovered == true)
        #expect(try await again.next().header.position == position.advanced(by: 1))
        #expect(try await again.next().header.position == position.advanced(by: 2))
        await again.close()
        await writer.close()
        await running.service.shutDown()
    }

    @Test func `a snapshot that is ended before it begins is not acknowledged afterwards`() async throws {
        let running = try await start("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
        let client = try await TestClient(running.port)
        for round in 0..<50 {
            let start = client.log.count
            try await client.send(
                #"{"type":"subscribe","channel":"tables","id":"s\#(round)","data":{"snapshot":true}}"#
            )
            try await client.send(#"{"type":"unsubscribe","channel":"tables","id":"u\#(round)"}"#)
            _ = try await client.reply(to: "u\(round)")
            // A quick reply to the snapshot may have arrived before.
            if !client.log[start...].contains(where: { $0.header.replyTo == "s\(round)" }) {
                guard case .error(let error) = try await client.reply(to: "s\(round)").payload else {
                    Issue.record("acknowledged after it was unsubscribed")
                    break
                }
                #expect(error.code == .interrupted)
            }
        }
        #expect(try await client.drain().isEmpty)
        await client.close()
        await running.service.shutDown()
    }

    @Test func `a snapshot that begins again leaves one subscription`() async throws {
        let running = try await start("CREATE TABLE t(a)")
        let client = try await TestClient(running.port)
        for round in 0..<50 {
            let start = client.log.count
            try await client.send(
                #"{"type":"subscribe","channel":"tables","id":"s\#(round)","data":{"snapshot":true}}"#
            )
            try await client.send(#"{"type":"subscribe","channel":"tables","id":"r\#(round)"}"#)
            _ = try await client.reply(to: "r\(round)")
            if !client.log[start...].contains(where: { $0.header.replyTo == "s\(round)" }) {
                #expect(try await client.reply(to: "s\(round)").header.type == .error)
            }
        }
        try await client.run("INSERT INTO t VALUES (1)")
        let changes = client.log.compactMap { message in
            if case .tableModified(let change) = message.payload { change.tableName } else { nil }
        }
        #expect(changes == ["t"])
        await client.close()
        await running.service.shutDown()
    }

    @Test func `a table with as many columns as a result can have is in a snapshot, rowids and all`() async throws {
        let columns = (0..<2_000).map { "c\($0)" }.joined(separator: ", ")
        let running = try await start(
            "CREATE TABLE wide(\(columns)); INSERT INTO wide(rowid, c1999) VALUES (7, 'last'), (3, 'first')"
        )
        let client = try await TestClient(running.port)
        try await client.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"snapshot":true}}"#)
        _ = try await client.reply(to: "s")
        guard case .tableSnapshot(let snapshot) = try await client.next().payload else {
            Issue.record("no rows")
            return
        }
        #expect(snapshot.rowids == [3, 7])
        #expect(snapshot.rows.map { $0.values(columns: ["c1999"]) } == [[.text("first")], [.text("last")]])
        await client.close()
        await running.service.shutDown()
    }

    @Test func `a snapshot of a missing file is answered with an error`() async throws {
        let running = try await start("CREATE TABLE t(a)")
        let client = try await TestClient(running.port)
        for name in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: running.database.path + name) }
        try await client.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"snapshot":true}}"#)
        guard case .error(let error) = try await client.reply(to: "s").payload else {
            Issue.record("a snapshot of nothing")
            return
        }
        #expect(error.code == .databaseGone)
        await client.close()
        await running.service.shutDown()
    }

    @Test(arguments: [
        ("CREATE TABLE big(id INTEGER PRIMARY KEY, a, b)", #"{"id":7}"#),
        ("CREATE TABLE big(id, a, b, PRIMARY KEY (a, id)) WITHOUT ROWID", #""id":7"#),
        ("CREATE TABLE big(id, a, b)", "rowid 1"),
    ])
    func `a table with a row too large for a message is unreadable, with the row's name`(
        table: String,
        key: String
    ) async throws {
        let running = try await start(
            "\(table); INSERT INTO big VALUES (7, 1, zeroblob((16 << 20) + 1)); CREATE TABLE small(a)"
        )
        let client = try await TestClient(running.port)
        try await client.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"snapshot":true}}"#)
        #expect(try await client.reply(to: "s").header.type == .subscribed)
        guard case .snapshotEnd(let end) = try await client.next(.snapshotEnd).payload else { return }
        #expect(end.tables == ["small"])
        #expect(end.unreadable.map(\.table) == ["big"])
        #expect(end.unreadable.first?.error.contains(key) == true)
        await client.close()
        await running.service.shutDown()
    }
}
