/// A message from a client that the service cannot act upon: answered with `error`, and never a reason to close.
public struct ProtocolError: Error, Sendable, Hashable {
    public var code: ErrorCode
    /// Names the field, what was found there and what was expected.
    public var message: String
    /// The `id` of the message at fault, for `replyTo`, where it had a usable one.
    public var requestID: String?

    public init(_ code: ErrorCode, _ message: String, requestID: String? = nil) {
        self.code = code
        self.message = message
        self.requestID = requestID
    }
}

extension ProtocolError: CustomStringConvertible {
    public var description: String { "\(code): \(message)" }
}
