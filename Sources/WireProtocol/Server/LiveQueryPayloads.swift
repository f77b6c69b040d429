/// `query:subscribed`: the query is live from here on.
public struct QuerySubscribedPayload: Sendable, Hashable, Codable {
    /// How the result is kept up to date. A struct rather than an enum, so that a client can decode the messages of a newer
    /// service.
    public struct Plan: RawRepresentable, Sendable, Hashable, Codable {
        /// The changes of a commit in the result are found from the rows that it changed.
        public static let incremental = Self(rawValue: "incremental")
        /// The query runs again, and its rows are compared with the previous ones.
        public static let rerun = Self(rawValue: "rerun")

        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }
    }

    /// Identifies the query in the messages that follow; the same for all of its subscribers.
    public var subscription: String
    /// The names of the result's columns, each once.
    public var columns: [String]
    /// The columns that identify a row; nil when there are none.
    public var key: [String]?
    public var plan: Plan
    /// Why the plan is ``Plan/rerun``.
    public var reason: String?
    /// The tables that it reads.
    public var tables: [String]
    /// The rows have an order, and changes contain their indexes.
    public var isOrdered: Bool
    public var position: Position
    /// When `since` was given: whether the missed changes follow. Otherwise a snapshot follows.
    public var isRecovered: Bool?

    public init(
        subscription: String,
        columns: [String],
        key: [String]?,
        plan: Plan,
        reason: String?,
        tables: [String],
        isOrdered: Bool,
        position: Position,
        isRecovered: Bool?
    ) {
        self.subscription = subscription
        self.columns = columns
        self.key = key
        self.plan = plan
        self.reason = reason
        self.tables = tables
        self.isOrdered = isOrdered
        self.position = position
        self.isRecovered = isRecovered
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case subscription
        case columns
        case key
        case plan
        case reason
        case tables
        case isOrdered = "ordered"
        case position
        case isRecovered = "recovered"
    }
}

extension QuerySubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.columns, columns)
        writer.field(CodingKeys.key, key)
        writer.field(CodingKeys.plan, plan.rawValue)
        writer.field(CodingKeys.reason, reason)
        writer.field(CodingKeys.tables, tables)
        writer.field(CodingKeys.isOrdered, isOrdered)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.isRecovered, isRecovered)
        writer.endObject()
    }
}

/// `query:snapshot`: some of the rows of a query as of the message's position.
public struct QuerySnapshotPayload: Sendable, Hashable, Codable {
    public var subscription: String
    public var rows: [[String: WireValue]]
    /// There are no more rows.
    public var isLast: Bool
    /// The rows replace everything received before. Set on the first message of such a snapshot.
    public var isReset: Bool?
    /// With ``isReset``: the columns, which may have changed.
    public var columns: [String]?

    public init(
        subscription: String,
        rows: [[String: WireValue]],
        isLast: Bool,
        isReset: Bool? = nil,
        columns: [String]? = nil
    ) {
        self.subscription = subscription
        self.rows = rows
        self.isLast = isLast
        self.isReset = isReset
        self.columns = columns
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case subscription
        case rows
        case isLast = "last"
        case isReset = "reset"
        case columns
    }

    /// Writes everything before the elements of `rows`; the caller writes these and then calls
    /// ``endWriting(to:isLast:)``.
    package static func beginWriting(
        to writer: inout JSONWriter,
        subscription: String,
        isReset: Bool?,
        columns: [String]?
    ) {
        writer.beginObject()
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.isReset, isReset)
        writer.field(CodingKeys.columns, columns)
        writer.key(of: CodingKeys.rows)
        writer.beginArray()
    }

    package static func endWriting(to writer: inout JSONWriter, isLast: Bool) {
        writer.endArray()
        writer.field(CodingKeys.isLast, isLast)
        writer.endObject()
    }
}

extension QuerySnapshotPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        Self.beginWriting(to: &writer, subscription: subscription, isReset: isReset, columns: columns)
        for row in rows { writer.object(row) }
        Self.endWriting(to: &writer, isLast: isLast)
    }
}

/// `query:changed`: the changes of commits in the rows of a query, up to the message's position.
public struct QueryChangedPayload: Sendable, Hashable, Codable {
    /// One row of the result.
    public struct Row: Sendable, Hashable, Codable {
        public var operation: RowChangePayload.Operation
        /// The columns that identify the row, when they are known.
        public var key: [String: WireValue]?
        /// Nil for an insert.
        public var before: [String: WireValue]?
        /// Nil for a delete.
        public var after: [String: WireValue]?
        /// In an ordered result: the row's index before all changes of the position.
        public var oldIndex: Int?
        /// In an ordered result: the row's index after all changes of the position.
        public var index: Int?

        public init(
            operation: RowChangePayload.Operation,
            key: [String: WireValue]? = nil,
            before: [String: WireValue]? = nil,
            after: [String: WireValue]? = nil,
            oldIndex: Int? = nil,
            index: Int? = nil
        ) {
            self.operation = operation
            self.key = key
            self.before = before
            self.after = after
            self.oldIndex = oldIndex
            self.index = index
        }

        fileprivate enum CodingKeys: String, CodingKey, FieldName {
            case operation = "op"
            case key
            case before
            case after
            case oldIndex
            case index
        }
    }

    public var subscription: String
    public var rows: [Row]
    /// The number of commits, when the changes belong to several.
    public var transactions: Int?
    /// The changes up to the position are complete; otherwise more messages follow.
    public var isLast: Bool

    public init(subscription: String, rows: [Row], transactions: Int? = nil, isLast: Bool = true) {
        self.subscription = subscription
        self.rows = rows
        self.transactions = transactions
        self.isLast = isLast
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case subscription
        case rows
        case transactions
        case isLast = "last"
    }

    /// Writes everything before the elements of `rows`; the caller writes these and then calls
    /// ``endWriting(to:isLast:)``.
    package static func beginWriting(to writer: inout JSONWriter, subscription: String, transactions: Int?) {
        writer.beginObject()
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.transactions, transactions)
        writer.key(of: CodingKeys.rows)
        writer.beginArray()
    }

    package static func endWriting(to writer: inout JSONWriter, isLast: Bool) {
        writer.endArray()
        writer.field(CodingKeys.isLast, isLast)
        writer.endObject()
    }
}

extension QueryChangedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        Self.beginWriting(to: &writer, subscription: subscription, transactions: transactions)
        for row in rows {
            writer.beginObject()
            writer.field(Row.CodingKeys.operation, row.operation.rawValue)
            writer.field(Row.CodingKeys.key, object: row.key)
            writer.field(Row.CodingKeys.before, object: row.before)
            writer.field(Row.CodingKeys.after, object: row.after)
            writer.field(Row.CodingKeys.oldIndex, row.oldIndex)
            writer.field(Row.CodingKeys.index, row.index)
            writer.endObject()
        }
        Self.endWriting(to: &writer, isLast: isLast)
    }
}

/// `query:reached`: all live queries of the connection are exact as of the message's position.
public struct QueryReachedPayload: Sendable, Hashable, Codable, JSONWritable {
    public init() {}

    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.endObject()
    }
}

/// `query:unsubscribed`: the query is no longer live.
public struct QueryUnsubscribedPayload: Sendable, Hashable, Codable {
    public var subscription: String
    /// Why the service ended it; nil when the client did.
    public var reason: String?
    public var code: ErrorCode?

    public init(subscription: String, reason: String? = nil, code: ErrorCode? = nil) {
        self.subscription = subscription
        self.reason = reason
        self.code = code
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case subscription, reason, code
    }
}

extension QueryUnsubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.reason, reason)
        writer.field(CodingKeys.code, code?.rawValue)
        writer.endObject()
    }
}
