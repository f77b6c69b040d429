/// What a client asks for with `query:execute`, or with the body of `POST /query`.
public struct QueryRequest: Sendable, Hashable {
    public enum Parameters: Sendable, Hashable {
        case none
        case positional([WireValue])
        /// By name, with or without the `:`, `@` or `$` of the statement.
        case named([String: WireValue])
    }

    public enum RowFormat: String, Sendable, Hashable, Codable, CaseIterable {
        case objects
        case arrays
    }

    /// One statement or several.
    public var sql: String
    /// The values of its `?` and `:name`.
    public var parameters: Parameters
    /// The client's name for the query, to cancel it by; the service makes one otherwise.
    public var queryID: String?
    /// Whether rows come as objects, by the names of their columns, or as arrays.
    public var rowFormat: RowFormat
    /// Rows beyond it are left out, and `query:complete` says `truncated`. Nil for all of them.
    public var maxRows: Int?
    /// How long it may wait and run; the service's default if nil, and never more than its limit.
    public var timeout: Duration?
    /// The least time between two reports of progress; the service's default if nil.
    public var progressInterval: Duration?
    /// A script of several statements is one transaction.
    public var isAtomic: Bool

    public init(
        sql: String,
        parameters: Parameters = .none,
        queryID: String? = nil,
        rowFormat: RowFormat = .objects,
        maxRows: Int? = nil,
        timeout: Duration? = nil,
        progressInterval: Duration? = nil,
        isAtomic: Bool = true
    ) {
        self.sql = sql
        self.parameters = parameters
        self.queryID = queryID
        self.rowFormat = rowFormat
        self.maxRows = maxRows
        self.timeout = timeout
        self.progressInterval = progressInterval
        self.isAtomic = isAtomic
    }

    /// Reads the body of `POST /query`.
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
        // The length of SQL is limited by the frame, and by the query service with an error of its own.
        sql = try data.required(data.string("sql", maxBytes: .max), "sql", "a string")
        parameters = try Self.parameters(data)
        queryID = try data.string("queryId", maxBytes: ClientMessage.maxIdentifierBytes)
        guard queryID != "" else { throw data.wrong("queryId", "a string that is not empty") }
        rowFormat = try data.choice("rowFormat") ?? .objects
        maxRows = try data.count("maxRows")
        timeout = try Self.milliseconds("timeout", data)
        progressInterval = try Self.milliseconds("progressInterval", data)
        isAtomic = try data.bool("atomic") ?? true
    }

    private static func milliseconds(_ name: String, _ data: JSONFields) throws(ProtocolError) -> Duration? {
        // Any longer time is the same as none, and must not overflow a clock.
        try data.count(name).map { .milliseconds(min($0, 1 << 40)) }
    }

    static func parameters(_ data: JSONFields) throws(ProtocolError) -> Parameters {
        switch data.value("params") {
        case nil:
            return .none
        case .array(let values):
            var parameters: [WireValue] = []
            parameters.reserveCapacity(values.count)
            for (index, value) in values.enumerated() {
                parameters.append(try parameter(value, "params[\(index)]", data))
            }
            return .positional(parameters)
        case .object(let values):
            var parameters: [String: WireValue] = [:]
            for (name, value) in values { parameters[name] = try parameter(value, "params.\(name)", data) }
            return .named(parameters)
        default:
            throw data.wrong("params", "an array or an object")
        }
    }

    private static func parameter(_ json: JSONValue, _ name: String, _ data: JSONFields) throws(ProtocolError)
        -> WireValue
    {
        do {
            return try WireValue(json)
        } catch {
            throw data.failure(name, error.description)
        }
    }
}

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
