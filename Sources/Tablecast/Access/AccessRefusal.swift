import NIOCore
import NIOHTTP1
import WebSocketTransport
package import WireProtocol

/// Why a request is rejected: an HTTP status, and the challenge that RFC 6750 section 3 requires.
package struct AccessRefusal: Error, Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// The request is ambiguous.
        case badRequest
        /// There is no token, or no valid one.
        case unauthorized
        /// The token is valid and does not allow the request.
        case forbidden
        /// The token cannot be checked now.
        case unavailable
    }

    package var kind: Kind
    /// One clause without a full stop.
    package var reason: String
    /// The value of `WWW-Authenticate`, if there is one.
    package var challenge: String?

    package static let missing = AccessRefusal(
        kind: .unauthorized,
        reason: "a token is required: send it as 'Authorization: Bearer …' or as access_token in the address",
        challenge: "Bearer realm=\"tablecast\""
    )

    package static func invalid(_ reason: String) -> AccessRefusal {
        AccessRefusal(kind: .unauthorized, reason: reason, challenge: challenge("invalid_token", reason))
    }

    package static let expired = invalid("the token has expired")

    static func ambiguous(_ reason: String) -> AccessRefusal {
        AccessRefusal(kind: .badRequest, reason: reason, challenge: challenge("invalid_request", reason))
    }

    static let unavailable = AccessRefusal(
        kind: .unavailable,
        reason: "the token cannot be checked now; try again later"
    )

    package var code: ErrorCode {
        switch kind {
        case .badRequest: .invalidMessage
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .unavailable: .busy
        }
    }

    /// Section 3 of the RFC allows a description of printable ASCII without quotation marks and backslashes.
    private static func challenge(_ error: String, _ description: String) -> String {
        let safe = description.unicodeScalars.filter { (0x20...0x7E).contains($0.value) && $0 != "\"" && $0 != "\\" }
        let text = String(String.UnicodeScalarView(safe))
        return "Bearer realm=\"tablecast\", error=\"\(error)\", error_description=\"\(text)\""
    }
}

extension AccessRefusal {
    init(_ error: AuthenticationError) {
        self = Self.invalid(error.reason)
        guard error.isForbidden else { return }
        kind = .forbidden
        challenge = Self.challenge("insufficient_scope", error.reason)
    }
}

extension UpgradeRefusal {
    init(_ refusal: AccessRefusal) {
        let status: HTTPResponseStatus =
            switch refusal.kind {
            case .badRequest: .badRequest
            case .unauthorized: .unauthorized
            case .forbidden: .forbidden
            case .unavailable: .serviceUnavailable
            }
        self.init(status, refusal.reason, headers: refusal.challenge.map { ["WWW-Authenticate": $0] } ?? [:])
        if status == .serviceUnavailable { headers.add(name: "Retry-After", value: "5") }
    }

    /// The close code with which an open connection is closed for the same reason.
    var closeCode: CloseCode? {
        switch status {
        case .badRequest: .badRequest
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .serviceUnavailable: self == .stopping ? .goingAway : .internalError
        case .tooManyRequests: .tooManyMessages
        default: nil
        }
    }
}

/// A connection from a web page that is closed as soon as it is open. A page cannot see the status of a refused
/// handshake, and would reconnect forever; the close code prevents that.
final class RefusedSession: WebSocketSession {
    private let code: CloseCode
    private let reason: String

    init(_ code: CloseCode, reason: String) {
        self.code = code
        self.reason = reason
    }

    /// It is not a client, and must not take a client's place.
    var takesPlace: Bool { false }

    func opened(_ connection: WebSocketHandler) { connection.close(code, reason: reason) }
    func received(text: ByteBuffer) {}
    func closed(_ status: CloseStatus) {}
}
