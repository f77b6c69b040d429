package import NIOCore
package import WireProtocol

/// The payload of a close frame, RFC 6455 section 5.5.1: nothing, or a code and a reason.
package struct CloseFrame: Sendable, Hashable {
    /// Nil when the frame was empty, for which section 7.1.5 defines 1005.
    package var code: UInt16?
    package var reason: String

    package init(code: UInt16?, reason: String = "") {
        self.code = code
        self.reason = reason
    }

    package init(_ code: CloseCode, reason: String = "") {
        self.init(code: code.rawValue, reason: reason)
    }

    /// Parses the payload of a received frame.
    package init(payload: ByteBuffer) throws(ProtocolViolation) {
        var payload = payload
        guard payload.readableBytes > 0 else {
            self.init(code: nil)
            return
        }
        guard let code = payload.readInteger(as: UInt16.self) else {
            throw .protocolError("a close frame's code takes two bytes")
        }
        guard Self.mayBeReceived(code) else {
            throw .protocolError("close code \(code) must not be sent")
        }
        var validator = UTF8Validator()
        let isText = payload.withUnsafeReadableBytes { validator.accepts($0) } && validator.isComplete
        guard isText else {
            throw ProtocolViolation(.invalidPayload, "the reason in a close frame is not valid UTF-8")
        }
        self.init(code: code, reason: String(buffer: payload))
    }

    /// The payload to send: a reason that is too long is truncated at a character boundary.
    package var payload: ByteBuffer {
        var buffer = ByteBuffer()
        guard let code else { return buffer }
        buffer.writeInteger(code)
        var room = FrameHeader.maxControlPayloadBytes - 2
        for character in reason.unicodeScalars {
            room -= UTF8.width(character)
            if room < 0 { break }
            buffer.writeString(String(character))
        }
        return buffer
    }

    /// Section 7.4: 1004, 1005, 1006 and 1015 are never sent, 1016 to 2999 are not defined, codes below 1000 are not
    /// used.
    private static func mayBeReceived(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// A violation by the peer that ends the connection: the close code to send and one sentence that describes it.
///
/// The reason is sent in the close frame, so it is ASCII and fits in the 123 bytes next to the code.
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
