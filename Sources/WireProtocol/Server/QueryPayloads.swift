/// `query:started`.
public struct QueryStartedPayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var sql: String
    public var userID: String
    public var username: String?
    public var database: String?
    /// Whether no statement of the query can write.
    public var isReadOnly: Bool?

    public init(
        queryID: String,
        sql: String,
        userID: String,
        username: String? = nil,
        database: String? = nil,
        isReadOnly: Bool? = nil
    ) {
        self.queryID = queryID
        self.sql = sql
        self.userID = userID
        self.username = username
        self.database = database
        self.isReadOnly = isReadOnly
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case sql
        case userID = "userId"
        case username
        case database
        case isReadOnly = "readOnly"
    }
}

extension QueryStartedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writer.field(CodingKeys.sql, sql)
        writer.field(CodingKeys.userID, userID)
        writer.field(CodingKeys.username, username)
        writer.field(CodingKeys.database, database)
        writer.field(CodingKeys.isReadOnly, isReadOnly)
        writer.endObject()
    }
}

/// `query:progress`: the progress of a running query.
public struct QueryProgressPayload: Sendable, Hashable, Codable {
    public var queryID: String
    /// 0 to 100; nil when there is no reliable estimate.
    public var progress: Double?
    public var message: String
    /// Rows so far.
    public var rowCount: Int
    /// Milliseconds.
    public var elapsed: Int64
    /// Rows that a scan is expected to visit.
    public var estimatedTotal: Int?

    public init(
        queryID: String,
        progress: Double? = nil,
        message: String,
        rowCount: Int,
        elapsed: Int64,
        estimatedTotal: Int? = nil
    ) {
        self.queryID = queryID
        self.progress = progress
        self.message = message
        self.rowCount = rowCount
        self.elapsed = elapsed
        self.estimatedTotal = estimatedTotal
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case progress
        case message
        case rowCount
        case elapsed
        case estimatedTotal
    }
}

extension QueryProgressPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writer.field(CodingKeys.progress, progress)
        writer.field(CodingKeys.message, message)
        writer.field(CodingKeys.rowCount, rowCount)
        writer.field(CodingKeys.elapsed, elapsed)
        writer.field(CodingKeys.estimatedTotal, estimatedTotal)
        writer.endObject()
    }
}

/// `query:rows`: some rows of a query's result, only for the client that sent the query.
public struct QueryRowsPayload: Sendable, Hashable, Codable {
    public var queryID: String
    /// The index of the statement in the query, from 0.
    public var statementIndex: Int
    /// The names of the columns. When rows are arrays two can be equal; when they are objects they are those of
    /// ``ResultColumns/uniqueNames(_:)``.
    public var columns: [String]
    public var rows: [WireRow]
    /// The number of the statement's rows in earlier messages.
    public var offset: Int

    public init(queryID: String, statementIndex: Int, columns: [String], rows: [WireRow], offset: Int) {
        self.queryID = queryID
        self.statementIndex = statementIndex
        self.columns = columns
        self.rows = rows
        self.offset = offset
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case statementIndex
        case columns
        case rows
        case offset
    }

    /// Writes everything before the elements of `rows`; the caller writes these and then calls ``endWriting(to:)``.
    package static func beginWriting(
        to writer: inout JSONWriter,
        queryID: String,
        statementIndex: Int,
        columns: [String],
        offset: Int
    ) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writer.field(CodingKeys.statementIndex, statementIndex)
        writer.field(CodingKeys.columns, columns)
        writer.field(CodingKeys.offset, offset)
        writer.key(of: CodingKeys.rows)
        writer.beginArray()
    }

    package static func endWriting(to writer: inout JSONWriter) {
        writer.endArray()
        writer.endObject()
    }
}

extension QueryRowsPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        Self.beginWriting(
            to: &writer,
            queryID: queryID,
            statementIndex: statementIndex,
            columns: columns,
            offset: offset
        )
        for row in rows { writer.row(row) }
        Self.endWriting(to: &writer)
    }
}

/// `query:complete`.
public struct QueryCompletePayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var rowCount: Int
    /// Milliseconds.
    public var duration: Int64
    /// Rows that the statements themselves inserted, updated and deleted.
    public var changes: Int
    public var lastInsertRowID: Int64? {
        get { lastRowid?.value }
        set { lastRowid = newValue.map(WireInteger.init) }
    }
    /// A limit cut the rows off.
    public var isTruncated: Bool?
    /// The transaction that the query committed.
    public var position: Position?
    /// The connection has an open transaction after the query.
    public var isInTransaction: Bool?

    private var lastRowid: WireInteger?

    public init(
        queryID: String,
        rowCount: Int,
        duration: Int64,
        changes: Int,
        lastInsertRowID: Int64? = nil,
        isTruncated: Bool? = nil,
        position: Position? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.queryID = queryID
        self.rowCount = rowCount
        self.duration = duration
        self.changes = changes
        self.lastInsertRowID = lastInsertRowID
        self.isTruncated = isTruncated
        self.position = position
        self.isInTransaction = isInTransaction
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case rowCount
        case duration
        case changes
        case lastRowid = "lastInsertRowid"
        case isTruncated = "truncated"
        case position
        case isInTransaction = "inTransaction"
    }
}

extension QueryCompletePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writeFields(to: &writer)
        writer.endObject()
    }

    /// Writes all fields except the query's id into an open object.
    package func writeFields(to writer: inout JSONWriter) {
        writer.field(CodingKeys.rowCount, rowCount)
        writer.field(CodingKeys.duration, duration)
        writer.field(CodingKeys.changes, changes)
        writer.field(CodingKeys.lastRowid, integer: lastInsertRowID)
        writer.field(CodingKeys.isTruncated, isTruncated)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.isInTransaction, isInTransaction)
    }
}

/// `query:error`: the query failed.
public struct QueryErrorPayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var error: String
    public var code: ErrorCode
    /// SQLite's [extended result code](https://sqlite.org/rescode.html).
    public var sqliteCode: Int?
    /// The byte offset of the error in the SQL.
    public var sqlOffset: Int?
    /// The index of the failed statement, from 0.
    public var statementIndex: Int?
    /// With `RATE_LIMITED`: when to try again, in milliseconds.
    public var retryAfter: Int?
    /// The last transaction that the query committed before it failed; nil when it committed none.
    public var position: Position?
    /// Whether the connection's transaction is still open; nil when it had none.
    public var isInTransaction: Bool?

    public init(
        queryID: String,
        error: String,
        code: ErrorCode,
        sqliteCode: Int? = nil,
        sqlOffset: Int? = nil,
        statementIndex: Int? = nil,
        retryAfter: Int? = nil,
        position: Position? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.retryAfter = retryAfter
        self.position = position
        self.queryID = queryID
        self.error = error
        self.code = code
        self.sqliteCode = sqliteCode
        self.sqlOffset = sqlOffset
        self.statementIndex = statementIndex
        self.isInTransaction = isInTransaction
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case error
        case code
        case sqliteCode
        case sqlOffset
        case statementIndex
        case retryAfter
        case position
        case isInTransaction = "inTransaction"
    }
}

extension QueryErrorPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writer.field(CodingKeys.error, error)
        writer.field(CodingKeys.code, code.rawValue)
        writer.field(CodingKeys.sqliteCode, sqliteCode)
        writer.field(CodingKeys.sqlOffset, sqlOffset)
        writer.field(CodingKeys.statementIndex, statementIndex)
        writer.field(CodingKeys.retryAfter, retryAfter)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.isInTransaction, isInTransaction)
        writer.endObject()
    }
}

/// `query:cancelled`: the query was stopped before its end.
public struct QueryCancelledPayload: Sendable, Hashable, Codable {
    /// Why. A struct rather than an enum, so that a client can decode the messages of a newer service.
    public struct Reason: RawRepresentable, Sendable, Hashable, Codable {
        public static let client = Self(rawValue: "client")
        public static let timeout = Self(rawValue: "timeout")
        /// The client that sent it disconnected.
        public static let disconnect = Self(rawValue: "disconnect")
        public static let shutdown = Self(rawValue: "shutdown")

        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }
    }

    public var queryID: String
    public var reason: Reason
    /// Rows that were sent before the end.
    public var rowCount: Int
    /// Milliseconds.
    public var duration: Int64
    /// The last transaction that the query committed before its end; nil when it committed none.
    public var position: Position?
    /// Whether the connection's transaction is still open; nil when it had none.
    public var isInTransaction: Bool?

    public init(
        queryID: String,
        reason: Reason,
        rowCount: Int,
        duration: Int64,
        position: Position? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.queryID = queryID
        self.reason = reason
        self.rowCount = rowCount
        self.duration = duration
        self.position = position
        self.isInTransaction = isInTransaction
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case reason
        case rowCount
        case duration
        case position
        case isInTransaction = "inTransaction"
    }
}

extension QueryCancelledPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writer.field(CodingKeys.reason, reason.rawValue)
        writer.field(CodingKeys.rowCount, rowCount)
        writer.field(CodingKeys.duration, duration)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.isInTransaction, isInTransaction)
        writer.endObject()
    }
}
