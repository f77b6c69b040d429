/// What a client asks for with `query:subscribe`, with the body of `POST /live`, or with the address of `GET /live`.
public struct LiveQueryRequest: Sendable, Hashable {
    /// The most columns that ``key`` may name.
    public static let maxKeyColumns = 64

    /// One SELECT.
    public var sql: String
    /// The values of its `?` and `:name`.
    public var parameters: QueryRequest.Parameters
    /// Columns of the result that identify a row; nil for those that the tables' primary keys give.
    public var key: [String]?
    /// The client has the rows as of this position already.
    public var since: Position?

    public init(
        sql: String,
        parameters: QueryRequest.Parameters = .none,
        key: [String]? = nil,
        since: Position? = nil
    ) {
        self.sql = sql
        self.parameters = parameters
        self.key = key
        self.since = since
    }

    /// Reads the body of `POST /live`.
    public init(parsing json: some Sequence<UInt8>) throws(ProtocolError) {
        try self.init(JSONFields(parsing: json, "the body"))
    }

    /// Reads the values of an address, `/live?sql=SELECT…&params=[1]&key=id&since=…`.
    ///
    /// - Parameters:
    ///   - sql: one SELECT; without it the request is refused.
    ///   - params: JSON, an array or an object.
    ///   - key: names of columns separated by commas.
    ///   - since: the position of what the client has already.
    public init(
        sql: String?,
        params: String? = nil,
        key: String? = nil,
        since: String? = nil
    ) throws(ProtocolError) {
        var fields: [String: JSONValue] = [:]
        fields["sql"] = sql.map { .string($0) }
        fields["params"] = try params.map { text throws(ProtocolError) in try JSONFields.value(text, of: "params") }
        fields["key"] = key.map { .array($0.split(separator: ",").map { .string(String($0)) }) }
        fields["since"] = since.map { .string($0) }
        try self.init(JSONFields(fields, path: ""))
    }

    init(_ data: JSONFields) throws(ProtocolError) {
        sql = try data.required(data.string("sql", maxBytes: .max), "sql", "a string")
        parameters = try QueryRequest.parameters(data)
        key = try data.strings("key")
        if let key, !(1...Self.maxKeyColumns).contains(key.count) {
            throw data.failure("key", "expected 1 to \(Self.maxKeyColumns) columns, found \(key.count)")
        }
        if let text = try data.string("since", maxBytes: 2 * Position.maxEpochBytes) {
            since = try data.within("since") { () throws(ProtocolError) in try Position(parsing: text) }
        }
    }
}
