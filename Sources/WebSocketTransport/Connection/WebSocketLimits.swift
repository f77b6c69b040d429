package import NIOCore

/// The bounds of one WebSocket connection.
package struct WebSocketLimits: Sendable, Hashable {
    /// The largest message that is accepted, after decompression and over all fragments; beyond it 1009. 1 MiB.
    package var maxMessageBytes = 1 << 20
    /// Bytes written and not yet taken by the socket beyond which nothing more is read from the peer, so that answers
    /// to a client that does not read cannot pile up. 256 KiB.
    package var maxUnsentBytesWhileReading = 256 << 10
    /// Between pings; a peer that stays silent over two of them is gone (4408). Nil for no heartbeat. 30 s.
    package var heartbeatInterval: TimeAmount? = .seconds(30)
    /// From our close frame to the peer's. 5 s.
    package var closeTimeout: TimeAmount = .seconds(5)
    /// From the last byte we send to the end of the connection, and for a slow client (4413) from the decision: then
    /// the connection is reset, and the kernel's memory for it is free. 2 s.
    package var lingerTimeout: TimeAmount = .seconds(2)
    /// From the connection, TLS included, to the first complete request; then 408. 10 s.
    package var handshakeTimeout: TimeAmount = .seconds(10)
    /// From the end of a response to the next complete request head on the same connection. 60 s.
    package var keepAliveTimeout: TimeAmount = .seconds(60)
    /// How long a request's body may keep us waiting. Each byte earns 2 ms more, up to this. 20 s.
    package var bodyTimeout: TimeAmount = .seconds(20)
    /// How long a client may take nothing of an HTTP response that waits for it; then the connection is reset. 30 s.
    package var responseTimeout: TimeAmount = .seconds(30)
    /// Messages smaller than this are not compressed, and larger ones only if that makes them smaller; 0 compresses every
    /// message in any case. 512 bytes.
    package var minCompressedBytes = 512
    /// Whether binary messages are taken rather than refused with 1003.
    package var acceptsBinary = false

    package init() {}
}
