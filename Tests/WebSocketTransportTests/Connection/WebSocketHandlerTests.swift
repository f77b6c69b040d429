import NIOCore
import NIOEmbedded
import Testing
import WireProtocol

@testable import WebSocketTransport

/// The handler in a channel without a socket, with a test clock.
@Suite struct WebSocketHandlerTests {
    private final class Session: WebSocketSession {
        var connection: WebSocketHandler?
        var texts: [String] = []
        var drains = 0
        var statuses: [CloseStatus] = []

        func opened(_ connection: WebSocketHandler) { self.connection = connection }
        func received(text: ByteBuffer) { texts.append(String(buffer: text)) }
        func drained() { drains += 1 }
        func closed(_ status: CloseStatus) { statuses.append(status) }
    }

    private let loop = EmbeddedEventLoop()
    private let session = Session()

    private func makeChannel(_ limits: WebSocketLimits = WebSocketLimits()) throws -> EmbeddedChannel {
        let handler = WebSocketHandler(
            role: .server,
            session: session,
            isPlain: true,
            resources: TransportResources(limits: limits),
            eventLoop: loop
        )
        let channel = EmbeddedChannel(handler: handler, loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    /// The bytes that the connection has sent, as the client decodes them.
    private func sent(_ channel: EmbeddedChannel) throws -> [InboundMessage] {
        var reader = MessageReader(role: .client)
        var messages: [InboundMessage] = []
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { messages += try reader.read(bytes) }
        return messages
    }

    private func close(_ code: CloseCode, _ reason: String) -> InboundMessage {
        .close(CloseFrame(code, reason: reason))
    }

    @Test func `text goes to the session and a ping is answered with its payload`() throws {
        let channel = try makeChannel()
        try channel.writeInbound(clientFrame(.text, "a") + clientFrame(.ping, "p") + clientFrame(.text, "b"))
        #expect(session.texts == ["a", "b"])
        #expect(try sent(channel) == [.pong(ByteBuffer(string: "p"))])
    }

    @Test func `a violation is answered with its close frame and nothing after it is read`() throws {
        let channel = try makeChannel()
        try channel.writeInbound(clientFrame(.binary, "x") + clientFrame(.text, "late"))
        #expect(try sent(channel) == [close(.unacceptableData, "binary messages are not accepted; send text")])
        try channel.writeInbound(clientFrame(.text, "later"))
        #expect(session.texts.isEmpty)
        #expect(session.statuses.map(\.code) == [1003])
    }

    @Test func `after its close frame the server handles nothing but the answer`() throws {
        let channel = try makeChannel()
        session.connection?.close(.goingAway, reason: "restart")
        session.connection?.close(.normal)
        session.connection?.send(text: ByteBuffer(string: "late"))
        try channel.writeInbound(clientFrame(.text, "crossing"))
        #expect(try sent(channel) == [close(.goingAway, "restart")])
        #expect(session.texts.isEmpty)
        loop.run()
        #expect(session.statuses == [CloseStatus(initiator: .local, code: 1001, reason: "restart")])
    }

    @Test func `the session is notified of the end once, and not from within its own close`() throws {
        let channel = try makeChannel()
        session.connection?.close(.normal)
        #expect(session.statuses.isEmpty)
        loop.run()
        try channel.writeInbound(clientFrame(.close, CloseFrame(.normal).payload))
        _ = try? channel.finish()
        #expect(session.statuses.count == 1)
    }

    @Test func `a connection that breaks is reported as 1006`() throws {
        let channel = try makeChannel()
        _ = try? channel.finish()
        #expect(session.statuses == [CloseStatus(initiator: .lost, code: 1006)])
    }

    @Test func `a silent peer is pinged twice and then closed with 4408`() throws {
        let channel = try makeChannel()
        loop.advanceTime(by: .seconds(61))
        #expect(try sent(channel) == [.ping(ByteBuffer()), .ping(ByteBuffer())])
        loop.advanceTime(by: .seconds(30))
        #expect(try sent(channel) == [close(.heartbeatTimeout, "nothing was received within two heartbeat intervals")])
        #expect(session.statuses.map(\.code) == [4408])
        loop.advanceTime(by: .seconds(4))
        #expect(!channel.isActive)
    }

    @Test func `a peer that answers pings stays`() throws {
        let channel = try makeChannel()
        for _ in 0..<20 {
            loop.advanceTime(by: .seconds(31))
            for message in try sent(channel) where message == .ping(ByteBuffer()) {
                try channel.writeInbound(clientFrame(.pong, ""))
            }
        }
        #expect(channel.isActive && session.statuses.isEmpty)
    }

    @Test func `a session that takes nothing for a while does not lose its peer`() throws {
        let channel = try makeChannel()
        session.connection?.isReading = false
        loop.advanceTime(by: .minutes(5))
        #expect(session.statuses.isEmpty)
        session.connection?.isReading = true
        loop.advanceTime(by: .minutes(2))
        #expect(session.statuses.map(\.code) == [4408])
        #expect(try !sent(channel).isEmpty)
    }

    @Test func `a peer that does not answer the close frame is cut off`() throws {
        let channel = try makeChannel()
        session.connection?.close(.normal)
        loop.advanceTime(by: .seconds(4))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(3))
        #expect(!channel.isActive)
    }

    @Test func `handlers left behind by an HTTP server can neither write nor half-close`() throws {
        let channel = try makeChannel()
        #expect(throws: ChannelError.operationUnsupported) { try channel.writeOutbound(ByteBuffer(string: "HTTP/1.1")) }
        try channel.close(mode: .output).wait()
        #expect(channel.isActive)
        #expect(try sent(channel).isEmpty)
    }
}
