/// A message from the service, as clients receive it and Swift clients decode it.
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
    /// Faster than `JSONDecoder`, and keeps INTEGER and REAL distinct, which that cannot.
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
    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case data
    }

    public init(from decoder: any Decoder) throws {
        if let parsed = decoder as? JSONValueDecoder, case .object(let fields) = parsed.value,
            let header = EnvelopeHeader(fields), let data = fields[CodingKeys.data.rawValue]
        {
            self.header = header
            let path = parsed.codingPath + [CodingKeys.data]
            payload = try ServerPayload(type: header.type, from: JSONValueDecoder(data, codingPath: path))
            return
        }
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

/// All fields of a server's message except its `data`.
public struct EnvelopeHeader: Sendable, Hashable, Codable {
    /// Unique among the messages of the service.
    public var id: String
    /// Unix milliseconds.
    public var timestamp: Int64
    public var type: MessageType
    public var channel: MessageChannel
    /// Set on every message of channel `tables` that belongs to a committed transaction.
    public var position: Position?
    /// The `id` of the request that this message answers.
    public var replyTo: String?

    public init(
        id: String,
        timestamp: Int64,
        type: MessageType,
        channel: MessageChannel,
        position: Position? = nil,
        replyTo: String? = nil
    ) {
        self.id = id
        self.timestamp = timestamp
        self.type = type
        self.channel = channel
        self.position = position
        self.replyTo = replyTo
    }

    /// A header with the current time and a new id.
    package init(
        _ type: MessageType,
        channel: MessageChannel,
        position: Position? = nil,
        replyTo: String? = nil,
        timestamp: Int64 = UnixTime.milliseconds
    ) {
        self.init(
            id: MessageID.next(),
            timestamp: timestamp,
            type: type,
            channel: channel,
            position: position,
            replyTo: replyTo
        )
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case id, timestamp, type, channel, position, replyTo
    }
}

extension EnvelopeHeader {
    /// Reads the fields of a parsed message, in a fraction of the time that a container takes; nil for a field of another form, for
    /// which the container has an error.
    fileprivate init?(_ fields: [String: JSONValue]) {
        guard case .string(let id)? = fields[CodingKeys.id.rawValue],
            case .integer(let timestamp)? = fields[CodingKeys.timestamp.rawValue],
            case .string(let type)? = fields[CodingKeys.type.rawValue],
            case .string(let name)? = fields[CodingKeys.channel.rawValue],
            let channel = MessageChannel(rawValue: name)
        else { return nil }
        self.init(id: id, timestamp: timestamp, type: MessageType(type), channel: channel)
        switch fields[CodingKeys.position.rawValue] {
        case .string(let text):
            // The container reports what is wrong.
            guard let found = try? Position(parsing: text) else { return nil }
            position = found
        case .null, nil: break
        default: return nil
        }
        switch fields[CodingKeys.replyTo.rawValue] {
        case .string(let id): replyTo = id
        case .null, nil: break
        default: return nil
        }
    }
}

extension JSONWriter {
    /// Begins a message: the caller writes one value, its `data`, and then calls ``endEnvelope()``.
    package mutating func beginEnvelope(_ header: EnvelopeHeader) {
        beginObject()
        field(EnvelopeHeader.CodingKeys.id, header.id)
        field(EnvelopeHeader.CodingKeys.timestamp, header.timestamp)
        field(EnvelopeHeader.CodingKeys.type, header.type.rawValue)
        field(EnvelopeHeader.CodingKeys.channel, header.channel.rawValue)
        field(EnvelopeHeader.CodingKeys.position, header.position)
        field(EnvelopeHeader.CodingKeys.replyTo, header.replyTo)
        key(of: Envelope.CodingKeys.data)
    }

    package mutating func endEnvelope() { endObject() }

    /// A whole message.
    package mutating func envelope(_ header: EnvelopeHeader, _ data: some JSONWritable) {
        beginEnvelope(header)
        data.write(to: &self)
        endEnvelope()
    }

    /// A whole message whose data were already encoded.
    package mutating func envelope(_ header: EnvelopeHeader, rawData json: some Collection<UInt8>) {
        beginEnvelope(header)
        raw(json)
        endEnvelope()
    }
}
