package import WireProtocol

/// What the peer did that ends the connection: the close code to send and one sentence that names it.
///
/// The reason goes into the close frame, so it is ASCII and fits in the 123 bytes that are left beside the code.
package struct ProtocolViolation: Error, Sendable, Hashable {
    package let code: CloseCode
    package let reason: String

    package init(_ code: CloseCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    static func protocolError(_ reason: String) -> Self { Self(.protocolError, reason) }

    static func tooBig(limitBytes: Int) -> Self {
        Self(.messageTooBig, "the message is larger than \(limitBytes) bytes")
    }

    static let notUTF8 = Self(.invalidPayload, "the text is not valid UTF-8")
}
