/// Why a client has no connection, or no longer has one.
package enum WebSocketClientError: Error, Sendable, Hashable, CustomStringConvertible {
    case invalidURL(String, expected: String)
    /// The server answered, but not with a WebSocket: the HTTP status and the text it gave.
    case refused(status: Int, reason: String)
    /// The server's answer to the handshake breaks RFC 6455.
    case invalidHandshake(String)
    /// No answer within the handshake's time.
    case timedOut
    /// The server ended the connection during the handshake.
    case connectionLost
    /// The connection is over; nothing can be sent.
    case closed(CloseStatus)
    /// `wss://` without a TLS handler.
    case tlsUnavailable

    package var description: String {
        switch self {
        case .invalidURL(let text, let expected): "'\(text)' is not a WebSocket address: expected \(expected)"
        case .refused(let status, let reason):
            "the server refused the connection with HTTP status \(status)\(reason.isEmpty ? "" : ": \(reason)")"
        case .invalidHandshake(let reason): "the server's handshake is not valid: \(reason)"
        case .timedOut: "the server did not answer the handshake in time"
        case .connectionLost: "the server ended the connection during the handshake"
        case .closed(let status):
            "the connection was closed with code \(status.code)\(status.reason.isEmpty ? "" : ": \(status.reason)")"
        case .tlsUnavailable: "wss:// needs a TLS handler, and none was given"
        }
    }
}
