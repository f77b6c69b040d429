import NIOCore
import NIOHTTP1
import NIOPosix
import Testing
import WireProtocol

@testable import WebSocketTransport

/// The upgrade from HTTP to WebSocket over real sockets.
@Suite struct UpgradeTests {
    @Test func `frames that arrive glued to the request are not lost`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            for cut in [0, 1, 5, 40] {
                let peer = try await RawPeer.connect(to: server.port)
                var bytes = ByteBuffer(string: RawPeer.handshake())
                let requestBytes = bytes.readableBytes
                bytes = bytes + clientFrame(.text, "first") + clientFrame(.text, "second")
                let head = bytes.readSlice(length: cut == 0 ? bytes.readableBytes : requestBytes + cut) ?? ByteBuffer()
                try await peer.send(head)
                if bytes.readableBytes > 0 { try await peer.send(bytes) }
                #expect(try await peer.receiveHead().hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
                let expected =
                    FrameEncoder.text(ByteBuffer(string: "first")) + FrameEncoder.text(ByteBuffer(string: "second"))
                #expect(try await peer.receive(bytes: expected.readableBytes) == expected)
                await peer.close()
            }
        }
    }

    @Test func `the connection limit counts open connections and forgets closed ones`() async throws {
        try await TestServer.with(EchoSession.mount(policy: UpgradePolicy(maxConnections: 2))) { server in
            let first = try await server.connect()
            let second = try await server.connect()
            let refused = await #expect(throws: WebSocketClientError.self) { try await server.connect() }
            #expect(refused?.description.contains("503: The limit of 2 connections is reached") == true)
            await first.close()
            var third: WebSocketConnection?
            // The server may see the end of the first connection shortly after its client.
            while third == nil { third = try? await server.connect() }
            #expect(server.mount.clients.value == 2)
            await second.close()
            await third?.close()
        }
    }

    @Test func `an authorization that takes time holds the connection and can refuse it`() async throws {
        let log = ProbeSession.Log()
        let mount = ProbeSession.mount(log) { head in
            await Task.yield()
            guard head.uri.contains("good") else {
                return .refuse(UpgradeRefusal(.unauthorized, "The token is not valid."))
            }
            return .open { _, _ in ProbeSession(log) }
        }
        try await TestServer.with(mount) { server in
            let connection = try await WebSocketClient().connect(to: server.url("/ws?access_token=good"))
            await connection.close()
            let refusal = WebSocketClientError.refused(status: 401, reason: "The token is not valid.")
            await #expect(throws: refusal) {
                try await WebSocketClient().connect(to: server.url("/ws?access_token=bad"))
            }
            while server.mount.clients.value > 0 { await Task.yield() }
        }
    }

    @Test func `a session may close the connection as soon as it is opened`() async throws {
        let mount = WebSocketMount { _, _ in ClosingSession() }
        try await TestServer.with(mount) { server in
            // Repeated, because the close frame and the response may arrive together or separately.
            for _ in 0..<50 {
                let connection = try await WebSocketClient().connect(to: server.url("/ws"))
                let status = await connection.status
                #expect(status.code == CloseCode.unauthorized.rawValue)
                #expect(status.reason == "no")
            }
        }
    }

    @Test func `a connection that does not finish its request is ended with 408`() async throws {
        var limits = WebSocketLimits()
        limits.handshakeTimeout = .milliseconds(100)
        try await TestServer.with(EchoSession.mount(limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port)
            // On a busy machine the time may have expired before this.
            try? await peer.send("GET /ws HTTP/1.1\r\nHost: ")
            #expect(String(buffer: try await peer.receiveRest()).hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
            let silent = try await RawPeer.connect(to: server.port)
            #expect(String(buffer: try await silent.receiveRest()).hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        }
    }

    @Test func `what is not HTTP gets 400`() async throws {
        try await TestServer.with(EchoSession.mount()) { server in
            let peer = try await RawPeer.connect(to: server.port)
            try await peer.send("\u{16}\u{3}\u{1}\u{2}\r\n\r\n")
            #expect(String(buffer: try await peer.receiveRest()).hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        }
    }

    // MARK: Beside an HTTP server

    @Test func `other requests go to the HTTP server, and a later one can still become a WebSocket`() async throws {
        try await TestServer.withHTTP(EchoSession.mount()) { server in
            let peer = try await RawPeer.connect(to: server.port)
            for path in ["/a", "/b?ws"] {
                try await peer.send("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n")
                let head = try await peer.receiveHead()
                #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(String(buffer: try await peer.receive(bytes: path.utf8.count)) == path)
            }
            try await peer.send(ByteBuffer(string: RawPeer.handshake()) + clientFrame(.text, "hello"))
            #expect(try await peer.receiveHead().hasPrefix("HTTP/1.1 101 "))
            #expect(try await peer.receive(bytes: 7) == FrameEncoder.text(ByteBuffer(string: "hello")))
            await peer.close()
        }
    }

    @Test func `a pipelined upgrade waits for the responses before it`() async throws {
        try await TestServer.withHTTP(EchoSession.mount()) { server in
            let peer = try await RawPeer.connect(to: server.port)
            try await peer.send(
                ByteBuffer(string: "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" + RawPeer.handshake())
                    + clientFrame(.text, "hello")
            )
            #expect(try await peer.receiveHead().hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(String(buffer: try await peer.receive(bytes: 5)) == "/slow")
            #expect(try await peer.receiveHead().hasPrefix("HTTP/1.1 101 "))
            #expect(try await peer.receive(bytes: 7) == FrameEncoder.text(ByteBuffer(string: "hello")))
            await peer.close()
        }
    }

    @Test func `a request without a WebSocket upgrade gets 426, and another upgrade is ignored`() async throws {
        try await TestServer.withHTTP(EchoSession.mount()) { server in
            let plain = try await RawPeer.connect(to: server.port)
            try await plain.send("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(String(buffer: try await plain.receiveRest()).hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
            let other = try await RawPeer.connect(to: server.port)
            try await other.send("GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            let answer = String(buffer: try await other.receiveRest())
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains("Connection: close\r\n"))
        }
    }

    @Test func `an idle connection between requests is ended after the keep-alive time`() async throws {
        var limits = WebSocketLimits()
        limits.keepAliveTimeout = .milliseconds(50)
        try await TestServer.withHTTP(EchoSession.mount(limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port)
            try await peer.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(String(buffer: try await peer.receiveRest()).hasSuffix("/a"))
        }
    }

    @Test func `a body that does not come ends the connection`() async throws {
        var limits = WebSocketLimits()
        limits.bodyTimeout = .milliseconds(100)
        try await TestServer.withHTTP(EchoSession.mount(limits: limits)) { server in
            let silent = try await RawPeer.connect(to: server.port)
            try await silent.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
            #expect(try await silent.receiveRest().readableBytes == 0)
        }
    }

    @Test func `a client that waits for leave to send its body gets it`() async throws {
        try await TestServer.withHTTP(EchoSession.mount()) { server in
            let peer = try await RawPeer.connect(to: server.port)
            try await peer.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await peer.receiveHead() == "HTTP/1.1 100 Continue\r\n\r\n")
            try await peer.send("{}")
            #expect(try await peer.receiveHead().hasPrefix("HTTP/1.1 200 OK\r\n"))
            await peer.close()
        }
    }

    @Test func `a response that ends the connection arrives although its request continues`() async throws {
        try await TestServer.withHTTP(EchoSession.mount()) { server in
            let peer = try await RawPeer.connect(to: server.port)
            try await peer.send("POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
            let piece = ByteBuffer(repeating: 0x20, count: 1 << 16)
            let sending = Task { while !Task.isCancelled { try await peer.send(piece) } }
            let answer = String(buffer: try await peer.receiveRest())
            sending.cancel()
            #expect(answer.hasPrefix("HTTP/1.1 413 ") && answer.hasSuffix("/refused"))
        }
    }

    @Test func `a client that takes nothing of a response is reset`() async throws {
        var limits = WebSocketLimits()
        limits.responseTimeout = .milliseconds(100)
        try await TestServer.withHTTP(EchoSession.mount(limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port, reads: false)
            try await peer.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
            // It ends although nothing is read, because the connection does.
            #expect(try await peer.receiveRest().readableBytes < 16 << 20)
        }
    }
}

private final class ClosingSession: WebSocketSession {
    func opened(_ connection: WebSocketHandler) { connection.close(.unauthorized, reason: "no") }
    func received(text: ByteBuffer) {}
    func closed(_ status: CloseStatus) {}
}
