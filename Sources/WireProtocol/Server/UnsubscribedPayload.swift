/// `unsubscribed`: the client hears the channel no more.
public struct UnsubscribedPayload: Sendable, Hashable, Codable {
    public var channel: Channel

    public init(channel: Channel) {
        self.channel = channel
    }
}

extension UnsubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("channel", channel.rawValue)
        writer.endObject()
    }
}
