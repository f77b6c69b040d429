/// A message from the service: what every client hears, and what Swift clients decode.
///
/// ```swift
/// let message = try Envelope(parsing: text.utf8)
/// if case .tableModified(let change) = message.payload { print(change.tableName) }
/// ```
public struct Envelope: Sendable, Hashable {
    public var header: EnvelopeHeader
    /// The `data` field.
    public var payload: ServerPayload

    public init(header: EnvelopeHeader, payload: ServerPayload) {
        self.header = header
        self.payload = payload
    }

    /// Reads one message of UTF-8 JSON. Throws ``JSONParsingError`` or a `DecodingError`.
    ///
    /// Faster than `JSONDecoder`, and keeps INTEGER and REAL apart where that cannot.
    public init(parsing json: some Sequence<UInt8>) throws {
        try self.init(from: JSONValueDecoder(JSONValue(parsing: json)))
    }

    /// The message as UTF-8 JSON.
    public var json: [UInt8] {
        var writer = JSONWriter()
        writer.envelope(header, payload)
        return writer.bytes
    }
}

extension Envelope: Codable {
    private enum CodingKeys: CodingKey {
        case data
    }

    public init(from decoder: any Decoder) throws {
        header = try EnvelopeHeader(from: decoder)
        let data = try decoder.container(keyedBy: CodingKeys.self).superDecoder(forKey: .data)
        payload = try ServerPayload(type: header.type, from: data)
    }

    public func encode(to encoder: any Encoder) throws {
        try header.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try payload.encode(to: container.superEncoder(forKey: .data))
    }
}
