/// What a client asks for with `row:write`, or with the body of `POST /row`: one row to insert, update or delete.
public struct RowWriteRequest: Sendable, Hashable {
    public enum Operation: String, Sendable, Hashable, Codable, CaseIterable {
        case insert
        case update
        case delete
    }

    public var table: String
    public var operation: Operation
    /// The columns of the primary key, or `rowid` of a table that has none. Empty for a row to insert.
    public var key: [String: WireValue]
    /// Tells the row from the others where the key may be NULL; of a row to insert, the rowid that it gets.
    public var rowid: Int64?
    /// What the client has seen: the write fails with `CONFLICT` where the row is something else by now.
    public var before: [String: WireValue]
    /// Empty for a row to delete.
    public var values: [String: WireValue]
    /// The client's name for the query; the service makes one otherwise.
    public var queryID: String?
    /// How long it may wait and run; the service's default if nil, and never more than its limit.
    public var timeout: Duration?

    public init(
        table: String,
        operation: Operation,
        key: [String: WireValue] = [:],
        rowid: Int64? = nil,
        before: [String: WireValue] = [:],
        values: [String: WireValue] = [:],
        queryID: String? = nil,
        timeout: Duration? = nil
    ) {
        self.table = table
        self.operation = operation
        self.key = key
        self.rowid = rowid
        self.before = before
        self.values = values
        self.queryID = queryID
        self.timeout = timeout
    }

    /// Reads the body of `POST /row`.
    public init(parsing json: some Sequence<UInt8>) throws(ProtocolError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: json)
        } catch {
            throw ProtocolError(.invalidMessage, "the body is \(error)")
        }
        guard case .object(let fields) = value else {
            throw ProtocolError(.invalidMessage, "the body: expected an object, found \(value.kind)")
        }
        try self.init(JSONFields(fields, path: ""))
    }

    init(_ data: JSONFields) throws(ProtocolError) {
        table = try data.required(data.string("table", maxBytes: .max), "table", "a string")
        operation = try data.required(
            data.choice("op"),
            "op",
            "one of \(Operation.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))"
        )
        key = try Self.columns("key", data) ?? [:]
        before = try Self.columns("before", data) ?? [:]
        values = try Self.columns("values", data) ?? [:]
        rowid = try Self.rowid(data)
        queryID = try data.string("queryId", maxBytes: ClientMessage.maxIdentifierBytes)
        guard queryID != "" else { throw data.wrong("queryId", "a string that is not empty") }
        timeout = try data.count("timeout").map { .milliseconds(min($0, 1 << 40)) }
        try check(data)
    }

    /// What belongs to an operation must be there, and nothing that would be ignored.
    private func check(_ data: JSONFields) throws(ProtocolError) {
        switch operation {
        case .insert:
            if !key.isEmpty { throw data.failure("key", "a row to insert is named by its values") }
            if !before.isEmpty { throw data.failure("before", "a row to insert was nothing before") }
        case .update:
            if values.isEmpty { throw data.wrong("values", "an object with at least one column") }
        case .delete:
            if !values.isEmpty { throw data.failure("values", "a row to delete gets none") }
        }
        if operation != .insert, key.isEmpty, rowid == nil {
            throw data.wrong("key", "an object with the columns of the primary key, or a rowid beside it")
        }
    }

    private static func columns(_ name: String, _ data: JSONFields) throws(ProtocolError) -> [String: WireValue]? {
        guard let json = data.value(name) else { return nil }
        guard case .object(let fields) = json else { throw data.wrong(name, "an object of values by column") }
        var columns: [String: WireValue] = [:]
        for (column, value) in fields {
            do {
                columns[column] = try WireValue(value)
            } catch {
                throw data.failure("\(name).\(column)", error.description)
            }
        }
        return columns
    }

    private static func rowid(_ data: JSONFields) throws(ProtocolError) -> Int64? {
        guard let json = data.value("rowid") else { return nil }
        guard case .integer(let rowid)? = try? WireValue(json) else {  // whatever it is else, it is no rowid
            throw data.wrong("rowid", "a whole number")
        }
        return rowid
    }
}
