package import NIOCore
import Synchronization

/// The resources that the connections of one event loop share: the limits, the timer and zlib's memory. Confined to the
/// event loop.
final class EventLoopResources {
    let ticker: Ticker
    let inflaters = InflaterPool()
    let limits: WebSocketLimits
    /// Reports that the server of the connections shuts down gracefully.
    let onQuiesce: @Sendable () -> Void
    private var compressors: [Int: MessageCompressor] = [:]

    /// The compressor for a window, for messages to a single connection.
    func compressor(windowBits: Int) -> MessageCompressor {
        if let known = compressors[windowBits] { return known }
        let new = MessageCompressor(windowBits: windowBits, minBytes: limits.minCompressedBytes)
        compressors[windowBits] = new
        return new
    }

    init(
        eventLoop: any EventLoop,
        tickPeriod: TimeAmount,
        limits: WebSocketLimits,
        onQuiesce: @escaping @Sendable () -> Void
    ) {
        self.limits = limits
        self.onQuiesce = onQuiesce
        ticker = Ticker(eventLoop: eventLoop, period: tickPeriod)
    }
}

/// The resources of every event loop that a server uses, created when a connection first needs them. One for each
/// server.
package final class TransportResources: Sendable {
    private let perLoop = Mutex<[ObjectIdentifier: NIOLoopBound<EventLoopResources>]>([:])
    private let tickPeriod: TimeAmount
    let limits: WebSocketLimits
    let compressed: CompressedFrameEncodings
    private let onQuiesce: @Sendable () -> Void

    /// The timer runs four times within its shortest period, and at least once a second.
    package init(limits: WebSocketLimits, onQuiesce: @escaping @Sendable () -> Void = {}) {
        self.limits = limits
        self.onQuiesce = onQuiesce
        compressed = CompressedFrameEncodings(limits: limits)
        let times = [
            limits.heartbeatInterval ?? .seconds(30), limits.closeTimeout, limits.lingerTimeout,
            limits.handshakeTimeout, limits.keepAliveTimeout, limits.bodyTimeout, limits.responseTimeout,
        ]
        let shortest = times.map { TimeAmount($0).nanoseconds }.min() ?? 0
        tickPeriod = .nanoseconds(min(max(shortest / 4, 5_000_000), 1_000_000_000))
    }

    /// Must be called on `eventLoop`.
    func on(_ eventLoop: any EventLoop) -> EventLoopResources {
        eventLoop.preconditionInEventLoop()
        let bound = perLoop.withLock { perLoop in
            let key = ObjectIdentifier(eventLoop)
            if let known = perLoop[key] { return known }
            let new = EventLoopResources(
                eventLoop: eventLoop,
                tickPeriod: tickPeriod,
                limits: limits,
                onQuiesce: onQuiesce
            )
            let bound = NIOLoopBound(new, eventLoop: eventLoop)
            perLoop[key] = bound
            return bound
        }
        return bound.value
    }
}

/// Gives each read its own buffer that is freed right after it, so that an idle connection keeps none.
///
/// NIO's channels keep the first buffer they read into and, with its own allocators, the largest one ever needed: with
/// ten thousand idle connections those buffers would be most of the memory. Here the first one is tiny, and no later
/// one is kept as long as the channel's `maxMessagesPerRead` is 1.
package struct ReadAllocator: RecvByteBufferAllocator {
    private static let keptBytes = 64
    private static let smallestBytes = 2048
    private static let largestBytes = 65_536

    private var nextBytes = Self.keptBytes

    package init() {}

    package func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: nextBytes)
    }

    /// Grows at once with a stream of data and shrinks at once after it.
    package mutating func record(actualReadBytes: Int) -> Bool {
        if actualReadBytes >= nextBytes {
            nextBytes = min(max(nextBytes * 4, Self.smallestBytes), Self.largestBytes)
        } else if actualReadBytes <= nextBytes / 4 {
            nextBytes = max(nextBytes / 4, Self.smallestBytes)
        }
        // "May grow" makes the channel allocate a new buffer instead of keeping this one.
        return true
    }

    /// Installs the allocator before the channel's first read; call it on the event loop.
    package static func install(on channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: ReadAllocator())
    }
}
