import NIOCore
import NIOPosix
import NIOSSL

@testable import WebSocketTransport

/// A plain socket to a test server: sends any bytes, and waits for responses.
final class RawPeer: Sendable {
    private let channel: any NIOCore.Channel
    private let inbox: NIOLoopBound<Inbox>

    struct Ended: Error {
        var received: ByteBuffer
    }

    /// Collects received bytes until a waiting test has enough.
    private final class Inbox: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var received = ByteBuffer()
        private var isEnded = false
        private var waiting: (isEnough: (ByteBuffer) -> Int?, promise: EventLoopPromise<ByteBuffer>)?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.writeImmutableBuffer(unwrapInboundIn(data))
            answer()
        }

        func channelInactive(context: ChannelHandlerContext) {
            isEnded = true
            answer()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        func wait(_ promise: EventLoopPromise<ByteBuffer>, _ isEnough: @escaping (ByteBuffer) -> Int?) {
            waiting = (isEnough, promise)
            answer()
        }

        private func answer() {
            guard let waiting else { return }
            if let count = waiting.isEnough(received), let part = received.readSlice(length: count) {
                self.waiting = nil
                waiting.promise.succeed(part)
            } else if isEnded {
                self.waiting = nil
                waiting.promise.fail(Ended(received: received))
            }
        }
    }

    private init(_ channel: any NIOCore.Channel, _ inbox: NIOLoopBound<Inbox>) {
        self.channel = channel
        self.inbox = inbox
    }

    /// Without `reads`, it never reads from its socket, which has a small buffer.
    static func connect(to port: Int, reads: Bool = true, tls: TestTLS? = nil) async throws -> RawPeer {
        let (channel, inbox) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelOption(.socketOption(.so_rcvbuf), value: reads ? 262_144 : 4_096)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler = try NIOSSLClientHandler(context: tls.client, serverHostname: "localhost")
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    let inbox = Inbox()
                    try channel.pipeline.syncOperations.addHandler(inbox)
                    return (channel, NIOLoopBound(inbox, eventLoop: channel.eventLoop))
                }
            }
        return RawPeer(channel, inbox)
    }

    func send(_ bytes: ByteBuffer) async throws {
        try await channel.writeAndFlush(bytes)
    }

    func send(_ text: String) async throws {
        try await send(ByteBuffer(string: text))
    }

    /// Waits for `isEnough`, which returns the number of bytes of the response, or nil for more.
    func receive(_ isEnough: @escaping @Sendable (ByteBuffer) -> Int?) async throws -> ByteBuffer {
        let promise = channel.eventLoop.makePromise(of: ByteBuffer.self)
        channel.eventLoop.execute { [inbox] in inbox.value.wait(promise, isEnough) }
        return try await promise.futureResult.get()
    }

    func receive(bytes: Int) async throws -> ByteBuffer {
        try await receive { $0.readableBytes >= bytes ? bytes : nil }
    }

    /// A response's head, with its empty line.
    func receiveHead() async throws -> String {
        let head = try await receive { buffer in
            let text = String(buffer: buffer)
            return text.firstRange(of: "\r\n\r\n").map { text[..<$0.upperBound].utf8.count }
        }
        return String(buffer: head)
    }

    /// Everything until the other end has closed.
    func receiveRest() async throws -> ByteBuffer {
        do {
            return try await receive { _ in nil }
        } catch let ended as Ended {
            return ended.received
        }
    }

    /// Starts or stops reading.
    func setReading(_ reads: Bool) async throws {
        try await channel.setOption(.autoRead, value: reads).get()
    }

    /// Closes the socket, unless the other end closed it first.
    func close() async {
        try? await channel.close()
    }

    static func handshake(_ target: String = "/ws", _ more: String = "") -> String {
        """
        GET \(target) HTTP/1.1\r
        Host: 127.0.0.1\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        \(more)\r

        """
    }
}
