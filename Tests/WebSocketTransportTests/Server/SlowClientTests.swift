import NIOCore
import NIOPosix
import Testing
import WireProtocol

@testable import WebSocketTransport

/// Clients that do not read, over real sockets.
@Suite struct SlowClientTests {
    private let log = ProbeSession.Log()
    private let chunk = FrameEncoder.text(ByteBuffer(repeating: 0x78, count: 60_000))

    @Test func `a stalled client is closed with 4413, what waits is freed at once and the socket soon after`()
        async throws
    {
        var limits = WebSocketLimits()
        limits.lingerTimeout = .milliseconds(200)
        try await TestServer.with(ProbeSession.mount(log, limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port, reads: false)
            try await peer.send(RawPeer.handshake())
            let (handler, loop) = try await log.nextOpened()
            _ = try await handler.fill(loop, with: chunk, bytes: 8 << 20)
            let left = try await handler.on(loop) { handler in
                handler.close(.tooSlow, reason: "the queue is full")
                return handler.queuedBytes
            }
            #expect(left <= 128 << 10 + chunk.readableBytes)
            #expect(
                try await log.nextClosed() == CloseStatus(initiator: .local, code: 4413, reason: "the queue is full")
            )
            while server.mount.clients.value > 0 { await Task.yield() }
            #expect(try await handler.on(loop) { $0.queuedBytes } == 0)
            await peer.close()
        }
    }

    @Test func `a slow client that reads again in time gets whole frames and then the close frame`() async throws {
        var limits = WebSocketLimits()
        limits.lingerTimeout = .seconds(60)
        try await TestServer.with(ProbeSession.mount(log, limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port, reads: false)
            try await peer.send(RawPeer.handshake())
            let (handler, loop) = try await log.nextOpened()
            let written = try await handler.fill(loop, with: chunk, bytes: 8 << 20)
            try await handler.on(loop) { $0.close(.tooSlow, reason: "the queue is full") }
            try await peer.setReading(true)
            _ = try await peer.receiveHead()
            let rest = try await peer.receiveRest()
            #expect(rest.readableBytes < written)
            var reader = MessageReader(role: .client)
            let messages = try reader.read(rest)
            #expect(messages.last == .close(CloseFrame(.tooSlow, reason: "the queue is full")))
            #expect(messages.dropLast().allSatisfy { $0 == .text(ByteBuffer(repeating: 0x78, count: 60_000)) })
        }
    }

    @Test
    func `everything written arrives in order, however slowly it is read, and the session is notified at the end`()
        async throws
    {
        try await TestServer.with(ProbeSession.mount(log)) { server in
            let peer = try await RawPeer.connect(to: server.port, reads: false)
            try await peer.send(RawPeer.handshake())
            let (handler, loop) = try await log.nextOpened()
            let numbers = 0..<20_000
            let pad = String(repeating: "x", count: 500)
            try await handler.on(loop) { handler in
                for number in numbers { handler.write(FrameEncoder.text(ByteBuffer(string: "\(number) \(pad)"))) }
            }
            #expect(try await handler.on(loop) { $0.queuedBytes } > 0)
            try await peer.setReading(true)
            _ = try await peer.receiveHead()
            try await log.nextDrained()
            #expect(try await handler.on(loop) { $0.queuedBytes } == 0)
            try await handler.on(loop) { $0.close(.normal) }
            var reader = MessageReader(role: .client)
            try await peer.send(clientFrame(.close, CloseFrame(.normal).payload))
            let messages = try reader.read(try await peer.receiveRest())
            let expected = numbers.map { InboundMessage.text(ByteBuffer(string: "\($0) \(pad)")) }
            #expect(messages == expected + [.close(CloseFrame(.normal))])
        }
    }

    @Test func `answers to a client that does not read stop the reading of its requests`() async throws {
        var limits = WebSocketLimits()
        limits.maxUnsentBytesWhileReading = 64 << 10
        try await TestServer.with(EchoSession.mount(limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port, reads: false)
            try await peer.send(RawPeer.handshake())
            let frame = clientFrame(.text, ByteBuffer(repeating: 0x78, count: 500_000))
            let sending = Task {
                for _ in 0..<100 { try await peer.send(frame) }
            }
            try await peer.setReading(true)
            _ = try await peer.receiveHead()
            let echo = FrameEncoder.text(ByteBuffer(repeating: 0x78, count: 500_000))
            for _ in 0..<100 { #expect(try await peer.receive(bytes: echo.readableBytes) == echo) }
            try await sending.value
            await peer.close()
        }
    }

    @Test func `a half-open connection is found by the heartbeat`() async throws {
        var limits = WebSocketLimits()
        limits.heartbeatInterval = .milliseconds(40)
        try await TestServer.with(ProbeSession.mount(log, limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port)
            try await peer.send(RawPeer.handshake())
            #expect(try await log.nextClosed().code == 4408)
            _ = try await peer.receiveHead()
            var reader = MessageReader(role: .client)
            let messages = try reader.read(try await peer.receiveRest())
            let reason = "nothing was received within two heartbeat intervals"
            #expect(
                messages == [
                    .ping(ByteBuffer()), .ping(ByteBuffer()), .close(CloseFrame(.heartbeatTimeout, reason: reason)),
                ]
            )
        }
    }

    @Test func `a close frame is not lost to the reset of an unfinished upload`() async throws {
        var limits = WebSocketLimits()
        limits.maxMessageBytes = 1_000
        try await TestServer.with(ProbeSession.mount(log, limits: limits)) { server in
            let peer = try await RawPeer.connect(to: server.port)
            let upload = clientFrame(.text, ByteBuffer(repeating: 0x78, count: 5_000_000))
            // It fails when the server ends first, which is allowed.
            try? await peer.send(ByteBuffer(string: RawPeer.handshake()) + upload)
            _ = try await peer.receiveHead()
            var reader = MessageReader(role: .client)
            let close = CloseFrame(.messageTooBig, reason: "the message is larger than 1000 bytes")
            #expect(try reader.read(try await peer.receiveRest()) == [.close(close)])
        }
    }
}
