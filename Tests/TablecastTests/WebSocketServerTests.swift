import NIOCore
import NIOPosix
import Tablecast
import Testing
import WebSocketTransport
import WireProtocol

/// The server without a database: what an application broadcasts.
@Suite(.timeLimit(.minutes(1))) struct WebSocketServerTests {
    private func start(_ change: (inout ServerConfiguration) -> Void = { _ in }) async throws -> (WebSocketServer, Int)
    {
        var configuration = ServerConfiguration()
        configuration.port = 0
        change(&configuration)
        let server = try await WebSocketServer.start(configuration: configuration)
        return (server, try #require(server.port))
    }

    @Test func `a new connection is acknowledged first and receives only notifications`() async throws {
        let (server, port) = try await start()
        let client = try await TestClient(port)
        let first = try await client.next()
        guard case .connectionAck(let acknowledgement) = first.payload else {
            Issue.record("the first message is \(first.header.type)")
            return
        }
        #expect(acknowledgement.heartbeatInterval == 30_000)
        #expect(acknowledgement.database == nil)
        #expect(server.clientCount == 1)
        server.broadcast(.custom(MessageType("chat:message"), .object(["text": "hi"])), to: .queries)
        server.broadcast(.custom(MessageType("chat:message"), .object(["text": "you"])), to: .notifications)
        let message = try await client.next()
        #expect(message.payload == .custom(MessageType("chat:message"), .object(["text": "you"])))
        await client.close()
        await server.stop()
    }

    @Test func `a token that expires during a connection closes it with 4401`() async throws {
        struct ShortLived: Authenticator {
            func identity(of token: String) async throws -> Identity {
                Identity(id: token, role: .readOnly, expiresAt: UnixTime.milliseconds + 300)
            }
        }
        let (server, port) = try await start { $0.authenticator = ShortLived() }
        let client = try await TestClient(port, headers: [("Authorization", "Bearer 0123456789abcdef")])
        _ = try await client.next(.connectionAck)
        await client.readToEnd()
        #expect(await client.connection.status.code == CloseCode.unauthorized.rawValue)
        await server.stop()
    }

    @Test func `every notification reaches the subscribers of its channel`() async throws {
        let (server, port) = try await start()
        let client = try await TestClient(port, "channels=queries,tables")
        _ = try await client.next(.subscribed)
        _ = try await client.next(.subscribed)
        let started = QueryStartedPayload(queryID: "q", sql: "SELECT 1", userID: "u")
        let progress = QueryProgressPayload(queryID: "q", progress: 5, message: "scanning", rowCount: 1, elapsed: 2)
        let complete = QueryCompletePayload(queryID: "q", rowCount: 1, duration: 3, changes: 0)
        let failed = QueryErrorPayload(queryID: "q", error: "no", code: .sqlError)
        let cancelled = QueryCancelledPayload(queryID: "q", reason: .client, rowCount: 0, duration: 1)
        let created = TableCreatedPayload(
            tableName: "t",
            timestamp: 1,
            objectType: .table,
            sql: "CREATE TABLE t(a)",
            columns: []
        )
        let modified = TableModifiedPayload(
            tableName: "t",
            timestamp: 1,
            change: .rows(RowsModification(inserted: 1, updated: 0, deleted: 0))
        )
        let dropped = TableDroppedPayload(tableName: "t", timestamp: 1, objectType: .table)
        server.notifyQueryStarted(started)
        server.notifyQueryProgress(progress)
        server.notifyQueryComplete(complete)
        server.notifyQueryError(failed)
        server.notifyQueryCancelled(cancelled)
        server.notifyTableCreated(created)
        server.notifyTableModified(modified)
        server.notifyTableDropped(dropped)
        var payloads: [ServerPayload] = []
        for _ in 0..<8 { payloads.append(try await client.next().payload) }
        #expect(
            payloads == [
                .queryStarted(started), .queryProgress(progress), .queryComplete(complete), .queryError(failed),
                .queryCancelled(cancelled), .tableCreated(created), .tableModified(modified), .tableDropped(dropped),
            ]
        )
        await client.close()
        await server.stop()
    }

    @Test func `a broadcast to all clients leaves out the excluded one`() async throws {
        let (server, port) = try await start()
        let first = try await TestClient(port)
        let second = try await TestClient(port)
        guard case .connectionAck(let acknowledgement) = try await first.next().payload else { return }
        _ = try await second.next(.connectionAck)
        let type = MessageType("app:event")
        server.broadcast(.custom(type, .object(["n": 1])), excluding: acknowledgement.clientID)
        server.broadcast(.custom(type, .object(["n": 2])))
        #expect(try await first.next().payload == .custom(type, .object(["n": 2])))
        #expect(try await second.next().payload == .custom(type, .object(["n": 1])))
        #expect(try await second.next().payload == .custom(type, .object(["n": 2])))
        await first.close()
        await second.close()
        await server.stop()
    }

    @Test func `the server subscribes and unsubscribes a client`() async throws {
        let (server, port) = try await start()
        let client = try await TestClient(port)
        guard case .connectionAck(let acknowledgement) = try await client.next().payload else { return }
        #expect(try server.subscribe(acknowledgement.clientID, to: .collaboration))
        #expect(try await client.next().header.type == .subscribed)
        #expect(try await client.next().header.type == .userList)
        #expect(server.unsubscribe(acknowledgement.clientID, from: .collaboration))
        #expect(try await client.next().header.type == .unsubscribed)
        #expect(try !server.subscribe("nobody", to: .tables))
        await client.close()
        await server.stop()
    }

    @Test func `the connection after the last place is refused with 503`() async throws {
        let (server, port) = try await start { $0.maxConnections = 1 }
        let first = try await TestClient(port)
        _ = try await first.next(.connectionAck)
        await #expect(throws: (any Error).self) { _ = try await TestClient(port) }
        await first.close()
        await server.stop()
    }

    @Test func `a page of a foreign origin cannot connect, and one of the same can`() async throws {
        let (server, port) = try await start()
        await #expect(throws: (any Error).self) {
            _ = try await TestClient(port, headers: [("Origin", "https://evil.example")])
        }
        let client = try await TestClient(port, headers: [("Origin", "http://127.0.0.1:\(port)")])
        _ = try await client.next(.connectionAck)
        await client.close()
        await server.stop()
    }

    @Test func `an application's own NIO server can carry it`() async throws {
        let server = WebSocketServer()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try server.configure(channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try await TestClient(try #require(channel.localAddress?.port))
        _ = try await client.next(.connectionAck)
        server.broadcast(.custom(MessageType("app:event"), .object([:])))
        #expect(try await client.next().header.type == MessageType("app:event"))
        await server.stop()
        #expect(await client.connection.status.code == 1001)
        try await channel.close()
    }

    @Test func `stopping closes every client with 1001`() async throws {
        let (server, port) = try await start()
        let client = try await TestClient(port)
        _ = try await client.next(.connectionAck)
        await server.stop()
        #expect(await client.connection.status.code == 1001)
        #expect(server.clientCount == 0)
    }

    @Test func `users receive the joins, names, cursors and departures of others`() async throws {
        let (server, port) = try await start()
        let ada = try await TestClient(port, "channels=collaboration&username=ada")
        _ = try await ada.next(.userList)
        let bob = try await TestClient(port, "channels=collaboration&username=bob%20b")
        guard case .userJoined(let joined) = try await ada.next(.userJoined).payload else { return }
        var name = joined.username
        if name == "ada" {
            guard case .userJoined(let next) = try await ada.next(.userJoined).payload else { return }
            name = next.username
        }
        #expect(name == "bob b")
        try await bob.send(#"{"type":"user:identify","data":{"username":"Grace"}}"#)
        _ = try await ada.next(.userLeft)
        guard case .userJoined(let renamed) = try await ada.next(.userJoined).payload else { return }
        #expect(renamed.username == "Grace")
        try await bob.send(#"{"type":"user:cursor","data":{"position":{"line":3,"column":4}}}"#)
        guard case .userCursor(let cursor) = try await ada.next(.userCursor).payload else { return }
        #expect(cursor.username == "Grace")
        #expect(cursor.location == .text(TextPosition(line: 3, column: 4), selection: nil))
        await bob.close()
        guard case .userLeft(let left) = try await ada.next(.userLeft).payload else { return }
        #expect(left.connectedUsers == 1)
        await ada.close()
        await server.stop()
    }

    @Test(arguments: [
        ("{", "INVALID_MESSAGE"),
        ("[]", "INVALID_MESSAGE"),
        (#"{"type":"fly"}"#, "UNKNOWN_TYPE"),
        (#"{"type":"subscribe","channel":"weather"}"#, "UNKNOWN_CHANNEL"),
        (#"{"type":"subscribe","channel":"tables","data":{"rows":"all"}}"#, "INVALID_MESSAGE"),
        (#"{"type":"query:execute","data":{"sql":"SELECT 1"}}"#, "FORBIDDEN"),
    ])
    func `a wrong message gets an error and keeps the connection open`(json: String, code: String) async throws {
        let (server, port) = try await start()
        let client = try await TestClient(port)
        try await client.send(json)
        guard case .error(let error) = try await client.next(.error).payload else { return }
        #expect(error.code.rawValue == code)
        #expect(!error.message.isEmpty)
        _ = try await client.drain()
        await client.close()
        await server.stop()
    }

    @Test func `a client that sends without end is closed with 4429`() async throws {
        let (server, port) = try await start {
            $0.limits.clients.maxMessagesPerSecond = 1
            $0.limits.clients.maxMessageBurst = 10
        }
        let client = try await TestClient(port)
        for _ in 0..<12 { try? await client.send(#"{"type":"heartbeat"}"#) }
        // The replies to earlier messages still arrive.
        for _ in 0..<10 { _ = try await client.next(.heartbeat) }
        await client.readToEnd()
        #expect(await client.connection.status.code == 4429)
        await server.stop()
    }

    @Test func `all connections of one address without tokens together may send so many messages`() async throws {
        let (server, port) = try await start {
            $0.limits.clients.maxMessagesPerSecondOfIdentity = 1
            $0.limits.clients.maxMessageBurstOfIdentity = 10
        }
        let (first, second) = (try await TestClient(port), try await TestClient(port))
        for _ in 0..<5 {
            try await first.send(#"{"type":"heartbeat"}"#)
            _ = try await first.next(.heartbeat)
        }
        for _ in 0..<100 { try? await second.send(#"{"type":"heartbeat"}"#) }
        await second.readToEnd()
        #expect(await second.connection.status.code == 4429)
        await first.close()
        await server.stop()
    }
}
