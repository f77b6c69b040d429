import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import WebSocketTransport

@Suite(.timeLimit(.minutes(1))) struct SocketListenerTests {
    /// The connections that a listener accepted, in order.
    private final class Accepted: Sendable {
        let channels: AsyncStream<any NIOCore.Channel>
        private let continuation: AsyncStream<any NIOCore.Channel>.Continuation
        let count = Atomic(0)

        init() { (channels, continuation) = AsyncStream.makeStream() }

        func add(_ channel: any NIOCore.Channel) {
            count.add(1, ordering: .relaxed)
            continuation.yield(channel)
        }
    }

    private func listener(port: Int = 0, maxOpen: Int = 100, _ accepted: Accepted) throws -> SocketListener {
        try SocketListener(
            host: "127.0.0.1",
            port: port,
            maxOpen: maxOpen,
            allowsHalfClosure: false,
            group: MultiThreadedEventLoopGroup.singleton,
            report: { Issue.record("\($0)") }
        ) { channel in
            accepted.add(channel)
            return channel.eventLoop.makeSucceededVoidFuture()
        }
    }

    @Test func `no more sockets are open than may be, and the rest is accepted when others end`() async throws {
        let accepted = Accepted()
        let listener = try listener(maxOpen: 3, accepted)
        listener.start { error in if let error { Issue.record(error) } }
        let port = try #require(listener.localAddress.port)
        var peers: [RawPeer] = []
        for _ in 0..<5 { peers.append(try await RawPeer.connect(to: port)) }
        var channels = accepted.channels.makeAsyncIterator()
        for _ in 0..<3 { _ = await channels.next() }
        #expect(accepted.count.load(ordering: .relaxed) == 3)
        // The first peers may be any of the accepted ones; all of them have ended when two more have come.
        for peer in peers.prefix(3) { await peer.close() }
        for _ in 0..<2 { _ = await channels.next() }
        #expect(accepted.count.load(ordering: .relaxed) == 5)
        for peer in peers { await peer.close() }
        listener.stop()
    }

    @Test func `the address is free at the end, while connections go on`() async throws {
        let accepted = Accepted()
        let first = try listener(accepted)
        let port = try #require(first.localAddress.port)
        #expect(throws: IOError.self) { try listener(port: port, accepted) }
        let (ends, end) = AsyncStream<Void>.makeStream()
        first.start { _ in end.finish() }
        let peer = try await RawPeer.connect(to: port)
        var channels = accepted.channels.makeAsyncIterator()
        let channel = try #require(await channels.next())
        first.stop()
        for await _ in ends {}
        let second = try listener(port: port, accepted)
        second.start { _ in }
        try await channel.writeAndFlush(ByteBuffer(string: "still here"))
        #expect(String(buffer: try await peer.receive(bytes: 10)) == "still here")
        await peer.close()
        second.stop()
    }
}
