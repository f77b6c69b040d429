import NIOCore
import NIOSSL
import Testing
import WireProtocol

@testable import WebSocketTransport

/// The same behaviour with TLS between the handler and the socket, where no frame goes directly to it.
@Suite struct SecureTests {
    private let log = ProbeSession.Log()
    private let tls: TestTLS

    init() throws { tls = try TestTLS() }

    private func connect(_ server: TestServer) async throws -> WebSocketConnection {
        let client = WebSocketClient(makeTLS: { [tls] host in
            try NIOSSLClientHandler(context: tls.client, serverHostname: host)
        })
        return try await client.connect(to: WebSocketURL("wss://localhost:\(server.port)/ws"))
    }

    @Test func `messages of every size and the close handshake pass`() async throws {
        try await TestServer.with(EchoSession.mount(), tls: tls) { server in
            let connection = try await connect(server)
            let messages = connection.messages.makeAsyncIterator()
            for length in [0, 1, 20_000, 1_000_000] {
                let text = String(repeating: "x", count: length)
                try await connection.send(text)
                #expect(await messages.next() == text)
            }
            await connection.close()
            #expect(await connection.status.code == 1000)
        }
    }

    @Test func `the server's close frame arrives before the end of the stream`() async throws {
        var limits = WebSocketLimits()
        limits.maxMessageBytes = 1_000
        try await TestServer.with(EchoSession.mount(limits: limits), tls: tls) { server in
            let connection = try await connect(server)
            try await connection.send(String(repeating: "x", count: 100_000))
            let reason = "the message is larger than 1000 bytes"
            #expect(await connection.status == CloseStatus(initiator: .peer, code: 1009, reason: reason))
        }
    }

    @Test func `a client that vanished is found by the heartbeat`() async throws {
        var limits = WebSocketLimits()
        limits.heartbeatInterval = .milliseconds(40)
        try await TestServer.with(ProbeSession.mount(log, limits: limits), tls: tls) { server in
            let peer = try await RawPeer.connect(to: server.port, tls: tls)
            try await peer.send(RawPeer.handshake())
            #expect(try await log.nextClosed().code == 4408)
            while server.mount.clients.value > 0 { await Task.yield() }
            await peer.close()
        }
    }

    @Test func `a stalled client is cut off and its memory is freed`() async throws {
        var limits = WebSocketLimits()
        limits.lingerTimeout = .milliseconds(200)
        try await TestServer.with(ProbeSession.mount(log, limits: limits), tls: tls) { server in
            let peer = try await RawPeer.connect(to: server.port, tls: tls)
            try await peer.send(RawPeer.handshake())
            _ = try await peer.receiveHead()
            try await peer.setReading(false)
            let (handler, loop) = try await log.nextOpened()
            let chunk = FrameEncoder.text(ByteBuffer(repeating: 0x78, count: 60_000))
            _ = try await handler.fill(loop, with: chunk, bytes: 8 << 20)
            try await handler.on(loop) { $0.close(.tooSlow, reason: "the queue is full") }
            #expect(try await log.nextClosed().code == 4413)
            while server.mount.clients.value > 0 { await Task.yield() }
            #expect(try await handler.on(loop) { $0.queuedBytes } == 0)
            await peer.close()
        }
    }
}
