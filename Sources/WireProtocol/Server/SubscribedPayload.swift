/// `subscribed`: from here on the client hears the channel.
public struct SubscribedPayload: Sendable, Hashable, Codable {
    public var channel: Channel
    /// The transaction that the subscription begins after, before any that are replayed.
    public var position: Position?
    /// With `since`: whether everything after it follows. If not, the client needs a new snapshot.
    public var recovered: Bool?

    public init(channel: Channel, position: Position? = nil, recovered: Bool? = nil) {
        self.channel = channel
        self.position = position
        self.recovered = recovered
    }
}

extension SubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("channel", channel.rawValue)
        writer.field("position", position)
        writer.field("recovered", recovered)
        writer.endObject()
    }
}
