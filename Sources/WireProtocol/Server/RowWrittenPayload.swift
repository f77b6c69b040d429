/// `row:written`: the reply to `row:write`.
public struct RowWrittenPayload: Sendable, Hashable, Codable {
    public var queryID: String
    public var tableName: String
    public var operation: RowWriteRequest.Operation
    /// The row after the write, with the effects of triggers, defaults and generated columns. Nil when it does not
    /// exist any more, and when the row rules of the token permit writing it and not reading it.
    public var row: [String: WireValue]?
    public var rowid: Int64? {
        get { wireRowid?.value }
        set { wireRowid = newValue.map(WireInteger.init) }
    }
    /// 1; 0 when a trigger ignored the write without an error.
    public var changes: Int
    /// Milliseconds.
    public var duration: Int64
    /// The transaction that the write committed; nil within an open transaction of the client.
    public var position: Position?
    /// The write is part of an open transaction of the connection.
    public var isInTransaction: Bool?

    private var wireRowid: WireInteger?

    public init(
        queryID: String,
        tableName: String,
        operation: RowWriteRequest.Operation,
        row: [String: WireValue]?,
        rowid: Int64? = nil,
        changes: Int,
        duration: Int64,
        position: Position? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.queryID = queryID
        self.tableName = tableName
        self.operation = operation
        self.row = row
        self.changes = changes
        self.duration = duration
        self.position = position
        self.isInTransaction = isInTransaction
        self.rowid = rowid
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case queryID = "queryId"
        case tableName
        case operation = "op"
        case row
        case wireRowid = "rowid"
        case changes
        case duration
        case position
        case isInTransaction = "inTransaction"
    }
}

extension RowWrittenPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.queryID, queryID)
        writer.field(CodingKeys.tableName, tableName)
        writer.field(CodingKeys.operation, operation.rawValue)
        writer.key(of: CodingKeys.row)
        if let row { writer.object(row) } else { writer.null() }
        writer.field(CodingKeys.wireRowid, integer: rowid)
        writer.field(CodingKeys.changes, changes)
        writer.field(CodingKeys.duration, duration)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.isInTransaction, isInTransaction)
        writer.endObject()
    }
}

/// The `details` of an `error` that answers `row:write`, and the fields of a `POST /row` error besides its code.
public struct RowWriteFailure: Sendable, Hashable {
    public var queryID: String
    public var tableName: String
    /// With `CONFLICT`: the current row; nil when no row has that key.
    public var row: [String: WireValue]?
    public var rowid: Int64?
    /// SQLite's extended result code, when SQLite reported the failure.
    public var sqliteCode: Int?
    /// With `RATE_LIMITED`: when to try again, in milliseconds.
    public var retryAfter: Int?
    /// Whether the client's transaction is still open; false when SQLite rolled it back.
    public var isInTransaction: Bool?

    public init(
        queryID: String,
        tableName: String,
        row: [String: WireValue]? = nil,
        rowid: Int64? = nil,
        sqliteCode: Int? = nil,
        retryAfter: Int? = nil,
        isInTransaction: Bool? = nil
    ) {
        self.queryID = queryID
        self.tableName = tableName
        self.row = row
        self.rowid = rowid
        self.sqliteCode = sqliteCode
        self.retryAfter = retryAfter
        self.isInTransaction = isInTransaction
    }

    /// - Parameter code: only a conflict includes the current row, even if it is `null`.
    package func fields(code: ErrorCode) -> [String: JSONValue] {
        var fields: [String: JSONValue] = ["queryId": .string(queryID), "tableName": .string(tableName)]
        if code == .conflict { fields["row"] = row.map { .object($0.mapValues(\.json)) } ?? .null }
        if let rowid { fields["rowid"] = WireValue.integer(rowid).json }
        if let sqliteCode { fields["sqliteCode"] = .integer(Int64(sqliteCode)) }
        if let retryAfter { fields["retryAfter"] = .integer(Int64(retryAfter)) }
        if let isInTransaction { fields["inTransaction"] = .bool(isInTransaction) }
        return fields
    }
}
