package import NIOCore

/// Gives each read a buffer of its own that is freed right after it, so that a connection at rest keeps none.
///
/// NIO's channels hold on to the first buffer they read into and, with its own allocators, to the largest one ever
/// needed: at ten thousand idle connections those buffers would be most of the memory. Here the first one is tiny, and
/// no later one is kept as long as the channel's `maxMessagesPerRead` is 1.
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
        // "May grow" makes the channel ask for a new buffer instead of keeping this one.
        return true
    }

    /// Sets up `channel` before its first read; on the event loop.
    package static func install(on channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: ReadAllocator())
    }
}
