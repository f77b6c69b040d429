package import NIOCore

/// The layer above a WebSocket connection. Every call comes on the connection's event loop.
///
/// The connection retains its session until ``closed(_:)``, which is the last call, and comes exactly once.
package protocol WebSocketSession: AnyObject {
    /// Whether it counts as one of the server's clients, whose number is limited. Read once, before ``opened(_:)``.
    var takesPlace: Bool { get }

    /// The connection is ready; messages may be sent from now on.
    func opened(_ connection: WebSocketHandler)

    /// A whole text message, valid UTF-8.
    func received(text: ByteBuffer)

    /// A whole binary message; only with ``WebSocketLimits/acceptsBinary``, otherwise it has been refused with 1003.
    func received(binary: ByteBuffer)

    /// The kernel has taken all written bytes, after some had to wait: a paused producer may continue.
    func drained()

    /// No more messages are received or sent. The socket itself may still be completing the close handshake.
    func closed(_ status: CloseStatus)
}

extension WebSocketSession {
    package var takesPlace: Bool { true }
    package func received(binary: ByteBuffer) {}
    package func drained() {}
}

/// All limits of one connection, of HTTP requests and of a WebSocket.
public struct WebSocketLimits: Sendable, Hashable {
    /// The largest accepted message, after decompression and over all fragments; a larger one closes the connection
    /// with 1009. 1 MiB.
    public var maxMessageBytes = 1 << 20
    /// Bytes written and not yet taken by the socket beyond which nothing more is read from the peer, so that responses
    /// to a client that does not read cannot accumulate. 256 KiB.
    public var maxUnsentBytesWhileReading = 256 << 10
    /// The interval between pings; a peer that is silent over two of them is disconnected (4408). Nil for no heartbeat.
    /// 30 s.
    public var heartbeatInterval: Duration? = .seconds(30)
    /// The time from our close frame to the peer's. 5 s.
    public var closeTimeout: Duration = .seconds(5)
    /// The time from the last sent byte to the end of the connection, and for a slow client (4413) from the decision;
    /// then the connection is reset, and the kernel's memory for it is freed. 2 s.
    public var lingerTimeout: Duration = .seconds(2)
    /// The time from the connection, including TLS, to the first complete request; then 408. 10 s.
    public var handshakeTimeout: Duration = .seconds(10)
    /// The time from the end of a response to the next complete request head on the same connection. 60 s.
    public var keepAliveTimeout: Duration = .seconds(60)
    /// How long the server waits for a request's body. Each byte earns 2 ms more, up to this. 20 s.
    public var bodyTimeout: Duration = .seconds(20)
    /// How long a client may take nothing of a pending HTTP response; then the connection is reset. 30 s.
    public var responseTimeout: Duration = .seconds(30)
    /// Smaller messages are not compressed, and larger ones only if that makes them smaller; 0 compresses every message
    /// in any case. 512 bytes.
    public var minCompressedBytes = 512
    /// Whether binary messages are accepted; otherwise they are refused with 1003.
    public var acceptsBinary = false

    public init() {}
}
