import NIOCore
import WebSocketTransport
import WireProtocol

/// A connection from a web page that is closed as soon as it is open. A page cannot see the status of a handshake that was
/// refused, and would try again for ever; the close code tells it not to.
final class RefusedSession: WebSocketSession {
    private let code: CloseCode
    private let reason: String

    init(_ code: CloseCode, reason: String) {
        self.code = code
        self.reason = reason
    }

    /// It is no client, and must not keep one out.
    var takesPlace: Bool { false }

    func opened(_ connection: WebSocketHandler) { connection.close(code, reason: reason) }
    func received(text: ByteBuffer) {}
    func closed(_ status: CloseStatus) {}
}
