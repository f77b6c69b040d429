/// `subscribed`: the client receives the channel's messages from here on.
public struct SubscribedPayload: Sendable, Hashable, Codable {
    public var channel: MessageChannel
    /// The id of the subscription to `tables`, which its messages carry.
    public var subscription: String?
    /// The ids of several subscriptions that were requested together, in the order of the request.
    public var subscriptions: [String]?
    /// The transaction after which the subscription begins, before any that are replayed.
    public var position: Position?
    /// With `since`: whether all later transactions follow. If not, the client needs a new snapshot.
    public var recovered: Bool?
    /// Present if ``recovered`` is false: why.
    public var reason: ResumeFailure?
    /// With `snapshot`: the tables whose rows follow, until `snapshot:end`.
    public var tables: [String]?

    public init(
        channel: MessageChannel,
        subscription: String? = nil,
        subscriptions: [String]? = nil,
        position: Position? = nil,
        recovered: Bool? = nil,
        reason: ResumeFailure? = nil,
        tables: [String]? = nil
    ) {
        self.channel = channel
        self.subscription = subscription
        self.subscriptions = subscriptions
        self.position = position
        self.recovered = recovered
        self.reason = reason
        self.tables = tables
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case channel, subscription, subscriptions, position, recovered, reason, tables
    }
}

extension SubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.channel, channel.rawValue)
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.subscriptions, subscriptions)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.recovered, recovered)
        writer.field(CodingKeys.reason, reason?.rawValue)
        writer.field(CodingKeys.tables, tables)
        writer.endObject()
    }
}

/// Why a client does not continue after the position that it has. Later versions can have further values.
public struct ResumeFailure: RawRepresentable, Sendable, Hashable, Codable {
    public var rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    /// The position is of another epoch, which did not go on.
    public static let otherEpoch = ResumeFailure(rawValue: "other-epoch")
    /// The position is after the last transaction of its epoch: from a later state than that of a restored backup, or invented.
    public static let beyondEnd = ResumeFailure(rawValue: "beyond-end")
    /// Some of the transactions after the position are not kept any more.
    public static let notKept = ResumeFailure(rawValue: "not-kept")
    /// The position belongs to another subscription: the filter or the rights of the client have changed.
    public static let otherSubscription = ResumeFailure(rawValue: "other-subscription")
    /// A new epoch began while the client was subscribed.
    public static let newEpoch = ResumeFailure(rawValue: "new-epoch")
}

/// `unsubscribed`: the client receives no more messages of the channel, or of one subscription to `tables`.
public struct UnsubscribedPayload: Sendable, Hashable, Codable {
    public var channel: MessageChannel
    /// The subscription that ended; nil when the whole channel did.
    public var subscription: String?

    public init(channel: MessageChannel, subscription: String? = nil) {
        self.channel = channel
        self.subscription = subscription
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case channel, subscription
    }
}

extension UnsubscribedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.channel, channel.rawValue)
        writer.field(CodingKeys.subscription, subscription)
        writer.endObject()
    }
}

/// `table:snapshot`: some of a table's rows as of the message's position.
public struct TableSnapshotPayload: Sendable, Hashable, Codable {
    /// The id of the subscription to which the snapshot belongs.
    public var subscription: String?
    public var tableName: String
    /// The names of the columns.
    public var columns: [String]
    /// The columns that identify a row, by which changes name it; nil where `rowids` do.
    public var key: [String]?
    public var rows: [WireRow]
    /// The table has no more rows.
    public var isLast: Bool
    /// The rowid of each row, for a table with rowids: it identifies the row in changes when no other key does.
    public var rowids: [Int64]? {
        get { wireRowids?.map(\.value) }
        set { wireRowids = newValue?.map(WireInteger.init) }
    }

    private var wireRowids: [WireInteger]?

    public init(
        subscription: String? = nil,
        tableName: String,
        columns: [String],
        key: [String]? = nil,
        rows: [WireRow],
        isLast: Bool,
        rowids: [Int64]? = nil
    ) {
        self.subscription = subscription
        self.tableName = tableName
        self.columns = columns
        self.key = key
        self.rows = rows
        self.isLast = isLast
        self.rowids = rowids
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case subscription
        case tableName
        case columns
        case key
        case rows
        case isLast = "last"
        case wireRowids = "rowids"
    }

    /// Writes everything before the elements of `rows`; the caller writes these and then calls
    /// ``endWriting(to:isLast:)``.
    package static func beginWriting(
        to writer: inout JSONWriter,
        subscription: String?,
        tableName: String,
        columns: [String],
        key: [String]?
    ) {
        writer.beginObject()
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.tableName, tableName)
        writer.field(CodingKeys.columns, columns)
        writer.field(CodingKeys.key, key)
        writer.key(of: CodingKeys.rows)
        writer.beginArray()
    }

    package static func endWriting(to writer: inout JSONWriter, isLast: Bool, rowids: [Int64]? = nil) {
        writer.endArray()
        if let rowids {
            writer.key(of: CodingKeys.wireRowids)
            writer.beginArray()
            for rowid in rowids { writer.integer(rowid) }
            writer.endArray()
        }
        writer.field(CodingKeys.isLast, isLast)
        writer.endObject()
    }
}

extension TableSnapshotPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        Self.beginWriting(to: &writer, subscription: subscription, tableName: tableName, columns: columns, key: key)
        for row in rows { writer.row(row) }
        Self.endWriting(to: &writer, isLast: isLast, rowids: rowids)
    }
}

/// `snapshot:end`: the rows of every table of the snapshot were sent. The position may be used as `since` only from
/// here on.
public struct SnapshotEndPayload: Sendable, Hashable, Codable {
    /// A table that the service cannot read.
    public struct UnreadableTable: Sendable, Hashable, Codable {
        public var table: String
        /// SQLite's error, such as `no such collation sequence: unicase`.
        public var error: String

        public init(table: String, error: String) {
            self.table = table
            self.error = error
        }

        fileprivate enum CodingKeys: String, CodingKey, FieldName {
            case table, error
        }
    }

    public var subscription: String?
    /// The tables that were sent completely.
    public var tables: [String]
    /// The tables whose rows are missing. Their changes are reported nevertheless.
    public var unreadable: [UnreadableTable]
    /// The position of the rows; later commits follow.
    public var position: Position

    public init(
        subscription: String?,
        tables: [String],
        unreadable: [UnreadableTable] = [],
        position: Position
    ) {
        self.subscription = subscription
        self.tables = tables
        self.unreadable = unreadable
        self.position = position
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case subscription, tables, unreadable, position
    }
}

extension SnapshotEndPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.subscription, subscription)
        writer.field(CodingKeys.tables, tables)
        writer.field(CodingKeys.unreadable, unreadable)
        writer.field(CodingKeys.position, position)
        writer.endObject()
    }
}

extension SnapshotEndPayload.UnreadableTable: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.table, table)
        writer.field(CodingKeys.error, error)
        writer.endObject()
    }
}
