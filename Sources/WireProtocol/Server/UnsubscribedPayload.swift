/// `unsubscribed`: the client gets no more messages of the channel, or of one subscription to `tables`.
public struct UnsubscribedPayload: Sendable, Hashable, Codable {
    public var channel: Channel
    /// The one that ended; nil when all of the channel did.
    public var subscription: String?

    public init(channel: Channel, subscription: String? = nil) {
        self.channel = channel
        self.subscription = subscription
    }
}

extension UnsubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("channel", channel.rawValue)
        writer.field("subscription", subscription)
        writer.endObject()
    }
}
