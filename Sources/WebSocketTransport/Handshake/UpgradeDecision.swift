package import NIOHTTP1

/// The answer to a request for a WebSocket.
package enum UpgradeDecision: Sendable {
    case accept(UpgradeAcceptance)
    case refuse(UpgradeRefusal)
}

/// A handshake that succeeds: what goes into the 101 and what was agreed on.
package struct UpgradeAcceptance: Sendable, Equatable {
    /// Of the 101 response, complete.
    package var headers: HTTPHeaders
    package var subprotocol: String?
    package var deflate: DeflateAgreement?
}

/// A handshake that fails: a whole HTTP response, which says in plain text what was wrong.
package struct UpgradeRefusal: Error, Sendable, Equatable {
    package var status: HTTPResponseStatus
    /// Beyond the content's type and length.
    package var headers: HTTPHeaders
    /// One sentence, plain text.
    package var reason: String

    package init(_ status: HTTPResponseStatus, _ reason: String, headers: HTTPHeaders = [:]) {
        self.status = status
        self.headers = headers
        self.reason = reason
    }
}
