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
