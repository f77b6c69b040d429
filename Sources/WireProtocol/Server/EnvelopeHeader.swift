/// Everything of a server's message but its `data`.
public struct EnvelopeHeader: Sendable, Hashable, Codable {
    /// Unique among the messages of the service.
    public var id: String
    /// Unix milliseconds.
    public var timestamp: Int64
    public var type: MessageType
    public var channel: Channel
    /// On every message of channel `tables` that belongs to a committed transaction.
    public var position: Position?
    /// The `id` of the request that this message answers.
    public var replyTo: String?

    public init(
        id: String,
        timestamp: Int64,
        type: MessageType,
        channel: Channel,
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

    /// A message of now with an id of its own.
    package init(
        _ type: MessageType,
        channel: Channel,
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
}

extension JSONWriter {
    /// Begins a message: one value, to be written next, is its `data`; then comes ``endEnvelope()``.
    package mutating func beginEnvelope(_ header: EnvelopeHeader) {
        beginObject()
        field("id", header.id)
        field("timestamp", header.timestamp)
        field("type", header.type.rawValue)
        field("channel", header.channel.rawValue)
        field("position", header.position)
        field("replyTo", header.replyTo)
        key("data")
    }

    package mutating func endEnvelope() { endObject() }

    /// A whole message.
    package mutating func envelope(_ header: EnvelopeHeader, _ data: some JSONWritable) {
        beginEnvelope(header)
        data.write(to: &self)
        endEnvelope()
    }

    /// A whole message whose data were encoded elsewhere.
    package mutating func envelope(_ header: EnvelopeHeader, rawData json: some Collection<UInt8>) {
        beginEnvelope(header)
        raw(json)
        endEnvelope()
    }
}
