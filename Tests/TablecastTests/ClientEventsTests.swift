import Tablecast
import Testing
import WireProtocol

/// What clients do, as the application that embeds the server sees it.
@Suite(.timeLimit(.minutes(1))) struct ClientEventsTests {
    private func withServer(_ body: (WebSocketServer, Int) async throws -> Void) async throws {
        var configuration = ServerConfiguration()
        configuration.port = 0
        let server = WebSocketServer(configuration: configuration)
        try await server.start()
        try await body(server, try #require(server.port))
        await server.stop()
    }

    @Test func `an application sees clients connect, name themselves, send messages and leave`() async throws {
        try await withServer { server, port in
            var events = server.clientEvents().makeAsyncIterator()
            let client = try await TestClient(port, "username=ada")
            guard case .connected(let connected)? = try await events.next() else {
                Issue.record("no client")
                return
            }
            #expect(connected.username == "ada")
            #expect(connected.role == .admin)
            #expect(server.connectedClients == [connected])
            try await client.send(#"{"type":"user:identify","data":{"username":"eve"}}"#)
            guard case .renamed(let renamed)? = try await events.next() else {
                Issue.record("not renamed")
                return
            }
            #expect(renamed.username == "eve" && renamed.id == connected.id)
            try await client.send(#"{"type":"chat:message","data":{"text":"hello"}}"#)
            let expected = ClientEvent.message(renamed, type: MessageType("chat:message"), data: ["text": "hello"])
            #expect(try await events.next() == expected)
            await client.close()
            #expect(try await events.next() == .disconnected(renamed, code: 1000, reason: ""))
            #expect(server.connectedClients.isEmpty)
        }
    }

    @Test func `without a receiver a message of an unknown type is an error`() async throws {
        try await withServer { server, port in
            let client = try await TestClient(port)
            try await client.send(#"{"type":"chat:message","id":"1","data":{}}"#)
            guard case .error(let error) = try await client.reply(to: "1").payload else {
                Issue.record("no error")
                return
            }
            #expect(error.code == .unknownType)
            await client.close()
        }
    }

    @Test func `types of the protocol never reach the application`() async throws {
        try await withServer { server, port in
            var events = server.clientEvents().makeAsyncIterator()
            let client = try await TestClient(port)
            _ = try await events.next()
            try await client.send(#"{"type":"table:created","id":"1","data":{}}"#)
            guard case .error(let error) = try await client.reply(to: "1").payload else {
                Issue.record("no error")
                return
            }
            #expect(error.code == .unknownType)
            try await client.send(#"{"type":"app:done"}"#)
            guard case .message(_, let type, let data)? = try await events.next() else {
                Issue.record("no event")
                return
            }
            #expect(type == MessageType("app:done") && data == [:])
            await client.close()
        }
    }

    @Test func `a reader that falls behind is notified, and nothing is skipped silently`() async throws {
        try await withServer { server, port in
            let events = server.clientEvents(maxBufferedEvents: 2)
            let client = try await TestClient(port)
            for _ in 0..<5 { try await client.send(#"{"type":"app:tick"}"#) }
            _ = try await client.drain()
            var count = 0
            await #expect(throws: ClientEvents.Overflow.self) { for try await _ in events { count += 1 } }
            #expect(count == 2)
            await client.close()
        }
    }

    @Test func `the events end when the server stops`() async throws {
        try await withServer { server, _ in
            let events = server.clientEvents()
            await server.stop()
            for try await _ in events { Issue.record("there was no client") }
        }
    }
}
