import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Ends a connection at once and without a goodbye: for a peer that has had its time.
enum ConnectionReset {
    /// The reset (SO_LINGER with 0 s) makes the kernel forget what it still holds for the peer, which could be
    /// megabytes for many minutes otherwise.
    static func reset(_ channel: any Channel) {
        if let options = channel as? any SocketOptionProvider {
            options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in
                // The socket is gone already, which is what is wanted.
            }
        }
        // Below the pipeline: TLS would wait for the answer of a peer that does not answer.
        channel._channelCore.close0(error: ChannelError.ioOnClosedChannel, mode: .all, promise: nil)
    }
}
