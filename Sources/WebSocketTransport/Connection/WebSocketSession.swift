package import NIOCore

/// What happens above a WebSocket connection. Every call comes on the connection's event loop.
///
/// The connection holds its session until ``closed(_:)``, which is the last call, and comes exactly once.
package protocol WebSocketSession: AnyObject {
    /// Whether it counts as one of the clients of the server, of which there is a limit. Asked once, before ``opened(_:)``.
    var takesPlace: Bool { get }

    /// The connection is ready; messages may be sent from now on.
    func opened(_ connection: WebSocketHandler)

    /// A whole text message, valid UTF-8.
    func received(text: ByteBuffer)

    /// A whole binary message; only with ``WebSocketLimits/acceptsBinary``, otherwise it has been refused with 1003.
    func received(binary: ByteBuffer)

    /// All that was written is with the kernel, after some of it had to wait: a paused producer may go on.
    func drained()

    /// No message comes or goes any more. The socket itself may still be finishing the close handshake.
    func closed(_ status: CloseStatus)
}

extension WebSocketSession {
    package var takesPlace: Bool { true }
    package func received(binary: ByteBuffer) {}
    package func drained() {}
}

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
