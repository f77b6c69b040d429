/// How a connection ended, for the session.
package struct CloseStatus: Sendable, Hashable {
    /// Who ended it.
    package enum Initiator: Sendable, Hashable {
        case local
        case peer
        /// The connection broke, or the peer left without a close frame.
        case lost
    }

    package var initiator: Initiator
    /// The code of the close frame that decided it; 1005 when it had none and 1006 when there was none (RFC 6455
    /// section 7.1.5; neither is ever on the wire).
    package var code: UInt16
    package var reason: String

    package init(initiator: Initiator, code: UInt16, reason: String = "") {
        self.initiator = initiator
        self.code = code
        self.reason = reason
    }

    static let lost = CloseStatus(initiator: .lost, code: 1006)
}
