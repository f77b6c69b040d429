import NIOCore
import NIOHTTP1
import Synchronization

@testable import WebSocketTransport

/// A session that passes its connection and its events to the test.
final class ProbeSession: WebSocketSession {
    /// The connections of a server and their state. Safe from any thread.
    final class Log: Sendable {
        typealias Opened = (handler: NIOLoopBound<WebSocketHandler>, eventLoop: any EventLoop)
        private let opened: AsyncStream<Opened>
        private let openedSource: AsyncStream<Opened>.Continuation
        private let drained: AsyncStream<Void>
        private let drainedSource: AsyncStream<Void>.Continuation
        private let closed: AsyncStream<CloseStatus>
        private let closedSource: AsyncStream<CloseStatus>.Continuation

        init() {
            (opened, openedSource) = AsyncStream.makeStream()
            (drained, drainedSource) = AsyncStream.makeStream()
            (closed, closedSource) = AsyncStream.makeStream()
        }

        func nextOpened() async throws -> Opened {
            for await opened in opened { return opened }
            throw CancellationError()
        }

        func nextDrained() async throws {
            for await _ in drained { return }
            throw CancellationError()
        }

        func nextClosed() async throws -> CloseStatus {
            for await status in closed { return status }
            throw CancellationError()
        }

        fileprivate func open(_ handler: WebSocketHandler) {
            openedSource.yield((NIOLoopBound(handler, eventLoop: handler.eventLoop), handler.eventLoop))
        }

        fileprivate func drain() {
            drainedSource.yield()
        }

        fileprivate func close(_ status: CloseStatus) {
            closedSource.yield(status)
        }
    }

    private let log: Log

    init(_ log: Log) { self.log = log }

    func opened(_ connection: WebSocketHandler) { log.open(connection) }
    func received(text: ByteBuffer) {}
    func drained() { log.drain() }
    func closed(_ status: CloseStatus) { log.close(status) }

    static func mount(
        _ log: Log,
        policy: UpgradePolicy = UpgradePolicy(),
        limits: WebSocketLimits = WebSocketLimits(),
        authorize: WebSocketMount.Authorize? = nil
    ) -> WebSocketMount {
        WebSocketMount(policy: policy, limits: limits, authorize: authorize) { _, _ in ProbeSession(log) }
    }
}

extension NIOLoopBound<WebSocketHandler> {
    /// Runs `body` with the connection on its event loop.
    func on<Result: Sendable>(
        _ eventLoop: any EventLoop,
        _ body: @escaping @Sendable (WebSocketHandler) -> Result
    ) async throws -> Result {
        try await eventLoop.submit { body(self.value) }.get()
    }

    /// Writes until at least `bytes` wait, like the hub, and returns how much was written.
    func fill(_ eventLoop: any EventLoop, with chunk: ByteBuffer, bytes: Int) async throws -> Int {
        try await on(eventLoop) { handler in
            var written = 0
            while handler.queuedBytes < bytes {
                handler.write(chunk)
                written += chunk.readableBytes
            }
            return written
        }
    }
}
