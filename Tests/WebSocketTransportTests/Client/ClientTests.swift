import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing
import WebSocketTransport
import WireProtocol

@Suite struct ClientTests {
    @Test func `client and server exchange text and close in order`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let connection = try await server.connect()
            let messages = connection.messages.makeAsyncIterator()
            for text in ["", "a", "größer", String(repeating: "x", count: 300_000)] {
                try await connection.send(text)
                #expect(await messages.next() == text)
            }
            await connection.close()
            #expect(await messages.next() == nil)
            #expect(await connection.status == CloseStatus(initiator: .local, code: 1000, reason: ""))
        }
    }

    @Test func `both directions work compressed`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let connection = try await server.connect(WebSocketClient(offersCompression: true))
            let messages = connection.messages.makeAsyncIterator()
            for length in [0, 1, 511, 512, 513, 100_000] {
                let text = String(repeating: "ab", count: length / 2)
                try await connection.send(text)
                #expect(await messages.next() == text)
            }
            await connection.close()
        }
    }

    @Test func `a reader that waits loses nothing`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let connection = try await server.connect()
            let count = 2_000
            let body = String(repeating: "x", count: 5_000)
            async let sending: Void = {
                for number in 0..<count { try await connection.send("\(number) \(body)") }
            }()
            var expected = 0
            for await message in connection.messages {
                #expect(message.hasPrefix("\(expected) "))
                expected += 1
                if expected == count { break }
            }
            try await sending
            #expect(expected == count)
            await connection.close()
        }
    }

    @Test func `a receiver takes every text on the event loop until it refuses one`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let texts = Mutex<[String]>([])
            let group = MultiThreadedEventLoopGroup.singleton.next()
            var client = WebSocketClient(group: group)
            client.receive = { text in
                #expect(group.inEventLoop)
                return texts.withLock { texts in
                    texts.append(String(buffer: text))
                    return texts.count < 3
                }
            }
            let connection = try await server.connect(client)
            // The connection can end before the last one is sent.
            for text in ["a", "b", "c", "d", "e"] { try? await connection.send(text) }
            let messages = connection.messages.makeAsyncIterator()
            #expect(await messages.next() == nil)
            #expect(await connection.status == CloseStatus(initiator: .local, code: 1000, reason: ""))
            #expect(texts.withLock { $0 } == ["a", "b", "c"])
        }
    }

    @Test func `a name with several addresses is tried until one answers`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let connection = try await WebSocketClient().connect(to: WebSocketURL("ws://localhost:\(server.port)/ws"))
            await connection.close()
            #expect(await connection.status.code == 1000)
        }
    }

    @Test func `a refusal carries the status and the server's reason`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            await #expect(
                throws: WebSocketClientError.refused(
                    status: 404,
                    reason: "There is no WebSocket at this path; connect to /ws."
                )
            ) {
                try await WebSocketClient().connect(to: server.url("/elsewhere"))
            }
            await #expect(throws: WebSocketClientError.self) {
                try await server.connect(WebSocketClient(headers: ["Origin": "http://elsewhere.example"]))
            }
        }
    }

    @Test func `sending on a closed connection reports how it was closed`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let connection = try await server.connect()
            await connection.close(.goingAway, reason: "done")
            let status = CloseStatus(initiator: .local, code: 1001, reason: "done")
            await #expect(throws: WebSocketClientError.closed(status)) { try await connection.send("late") }
        }
    }

    @Test(arguments: [
        ("ws://localhost", "ws://localhost/"), ("ws://[::1]:3001/ws?a=b#f", "ws://[::1]:3001/ws?a=b"),
        ("wss://example.org:443/x", "wss://example.org/x"), ("http://h:1?q", "ws://h:1/?q"),
    ])
    func `addresses are read as written`(text: String, normal: String) throws {
        #expect(try WebSocketURL(text).description == normal)
    }

    @Test(arguments: ["", "localhost", "ftp://h", "ws://", "ws://h:0", "ws://h:x", "ws://u@h", "ws://h/ü", "ws://[::1"])
    func `other addresses are named in the error`(text: String) {
        do {
            let url = try WebSocketURL(text)
            Issue.record("\(text) was taken as \(url)")
        } catch {
            #expect(error.description.hasPrefix("'\(text)' is not a WebSocket address: expected "))
        }
    }
}
