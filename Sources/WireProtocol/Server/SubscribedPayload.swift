/// `subscribed`: from here on the client gets the channel's messages.
public struct SubscribedPayload: Sendable, Hashable, Codable {
    public var channel: Channel
    /// The id of the subscription to `tables`, which its messages name.
    public var subscription: String?
    /// The ids of several that were asked for together, in their order.
    public var subscriptions: [String]?
    /// The transaction that the subscription begins after, before any that are replayed.
    public var position: Position?
    /// With `since`: whether everything after it follows. If not, the client needs a new snapshot.
    public var recovered: Bool?
    /// With `snapshot`: the tables whose rows come, until `snapshot:end`.
    public var tables: [String]?

    public init(
        channel: Channel,
        subscription: String? = nil,
        subscriptions: [String]? = nil,
        position: Position? = nil,
        recovered: Bool? = nil,
        tables: [String]? = nil
    ) {
        self.channel = channel
        self.subscription = subscription
        self.subscriptions = subscriptions
        self.position = position
        self.recovered = recovered
        self.tables = tables
    }
}

extension SubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("channel", channel.rawValue)
        writer.field("subscription", subscription)
        writer.field("subscriptions", subscriptions)
        writer.field("position", position)
        writer.field("recovered", recovered)
        writer.field("tables", tables)
        writer.endObject()
    }
}
