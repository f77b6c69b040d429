/// What the three events about tables say besides: for which subscription, who did it, and in which transaction.
public struct TableEventContext: Sendable, Hashable, Codable {
    public enum Origin: String, Sendable, Hashable, Codable {
        /// A query that ran through the service.
        case service
        /// Another process.
        case external
    }

    /// The transaction that an event belongs to.
    public struct Transaction: Sendable, Hashable, Codable {
        public var position: Position
        /// The final event of the transaction for this subscription.
        public var isLast: Bool

        public init(position: Position, isLast: Bool) {
            self.position = position
            self.isLast = isLast
        }

        private enum CodingKeys: String, CodingKey {
            case position
            case isLast = "last"
        }
    }

    /// The id of the subscription that the event is for. Nil for a broadcaster without a database.
    public var subscription: String?
    /// Known when the origin is `service`.
    public var userID: String?
    public var username: String?
    public var queryID: String?
    /// Nil for a broadcaster without a database, as the two that follow.
    public var database: String?
    public var origin: Origin?
    public var transaction: Transaction?

    public init(
        subscription: String? = nil,
        userID: String? = nil,
        username: String? = nil,
        queryID: String? = nil,
        database: String? = nil,
        origin: Origin? = nil,
        transaction: Transaction? = nil
    ) {
        self.subscription = subscription
        self.userID = userID
        self.username = username
        self.queryID = queryID
        self.database = database
        self.origin = origin
        self.transaction = transaction
    }

    private enum CodingKeys: String, CodingKey {
        case subscription
        case userID = "userId"
        case username
        case queryID = "queryId"
        case database
        case origin
        case transaction
    }
}

extension TableEventContext.Transaction: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("position", position)
        writer.field("last", isLast)
        writer.endObject()
    }
}

extension JSONWriter {
    /// The fields of a context, within an object that is open.
    mutating func fields(_ context: TableEventContext) {
        field("subscription", context.subscription)
        field("userId", context.userID)
        field("username", context.username)
        field("queryId", context.queryID)
        field("database", context.database)
        field("origin", context.origin?.rawValue)
        field("transaction", context.transaction)
    }
}
