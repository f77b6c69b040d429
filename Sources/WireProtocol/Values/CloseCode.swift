/// Why the service closed a WebSocket: the codes of RFC 6455 section 7.4.1 that it uses and its own in the private range.
public enum CloseCode: UInt16, Sendable, Hashable, CaseIterable {
    case normal = 1000
    /// The server shuts down or restarts.
    case goingAway = 1001
    case protocolError = 1002
    /// A binary message; the protocol is text.
    case unacceptableData = 1003
    /// A text message that is not UTF-8.
    case invalidPayload = 1007
    case messageTooBig = 1009
    case internalError = 1011
    case badRequest = 4400
    /// The token is missing, invalid or expired.
    case unauthorized = 4401
    case forbidden = 4403
    /// No pong within two heartbeat intervals.
    case heartbeatTimeout = 4408
    /// The queue of messages that the client has not read reached its limit.
    case tooSlow = 4413
    case tooManyMessages = 4429

    /// Whether and how a client should come back.
    public enum Reconnect: Sendable, Hashable {
        case no
        case withBackoff
        /// At once, with the last position it saw.
        case resume
    }

    public var reconnect: Reconnect {
        switch self {
        case .normal, .protocolError, .unacceptableData, .invalidPayload, .messageTooBig: .no
        case .badRequest, .unauthorized, .forbidden: .no
        case .goingAway, .internalError, .tooManyMessages: .withBackoff
        case .heartbeatTimeout, .tooSlow: .resume
        }
    }
}
