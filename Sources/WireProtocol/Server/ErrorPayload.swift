/// `error`: a request that was refused, or a failure that concerns the client.
public struct ErrorPayload: Sendable, Hashable, Codable {
    /// What was wrong, and what was expected.
    public var message: String
    public var code: ErrorCode
    public var details: JSONValue?

    public init(message: String, code: ErrorCode, details: JSONValue? = nil) {
        self.message = message
        self.code = code
        self.details = details
    }
}

extension ErrorPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("message", message)
        writer.field("code", code.rawValue)
        writer.field("details", details)
        writer.endObject()
    }
}
