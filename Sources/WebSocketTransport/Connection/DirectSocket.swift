import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The shortest path of an encoded frame to the kernel: `send(2)` on the channel's own descriptor.
///
/// A write through NIO costs several times the system call: boxing, the list of pending writes, a promise, the flush.
/// It is only correct while the channel has nothing queued, since it would overtake that, and on the channel's event
/// loop until the channel is closed, since its descriptor may belong to another file afterwards. NIO closes a socket
/// and calls `channelInactive` without running other code in between, except for the promises of that channel: so the
/// owner of a `DirectSocket` releases it before it closes the channel, when a `close` passes through its handler, when
/// a write fails, and in `channelInactive`.
struct DirectSocket {
    private let descriptor: CInt

    /// Nil when the channel is not a plain socket, as in tests or under TLS: then writes go through the channel.
    init?(_ channel: any Channel) {
        let found = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: CInt.self) { $0 }
        guard let descriptor = found.flatMap({ $0 }) else { return nil }
        self.descriptor = descriptor
    }

    /// The number of bytes that the kernel took: none when its buffer is full, and also when the connection is broken,
    /// which the channel detects itself when it writes the rest.
    func send(_ buffer: ByteBuffer) -> Int {
        buffer.withUnsafeReadableBytes { bytes in
            max(0, Self.send(descriptor, bytes))
        }
    }

    #if canImport(Darwin)
        /// NIO has set SO_NOSIGPIPE on the socket.
        private static func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
            Darwin.send(descriptor, bytes.baseAddress, bytes.count, MSG_DONTWAIT)
        }
    #elseif canImport(Glibc)
        private static func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
            Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
        }
    #else
        /// Takes nothing: all bytes go through the channel.
        private static func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int { 0 }
    #endif
}
