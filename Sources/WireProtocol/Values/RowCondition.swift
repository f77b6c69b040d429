/// Which rows of a table a subscriber asks for: an SQL expression over the table's columns.
public struct RowCondition: Sendable, Hashable {
    public static let maxSQLBytes = 10_000

    public var sql: String
    /// The values of its `?` and `:name`.
    public var parameters: QueryRequest.Parameters

    public init(sql: String, parameters: QueryRequest.Parameters = .none) {
        self.sql = sql
        self.parameters = parameters
    }

    /// Reads the values of an address; nil where there is no `where`.
    ///
    /// - Parameters:
    ///   - sql: an expression over the table's columns.
    ///   - params: JSON, an array or an object.
    public init?(where sql: String?, params: String?) throws(ProtocolError) {
        var fields: [String: JSONValue] = [:]
        fields["where"] = sql.map { .string($0) }
        fields["params"] = try params.map { text throws(ProtocolError) in try JSONFields.value(text, of: "params") }
        try self.init(JSONFields(fields, path: ""))
    }

    /// Reads `where` and `params`; nil where there is no `where`.
    init?(_ data: JSONFields) throws(ProtocolError) {
        guard let sql = try data.string("where", maxBytes: Self.maxSQLBytes) else {
            if data.value("params") != nil { throw data.failure("params", "expected none without where, found some") }
            return nil
        }
        self.init(sql: sql, parameters: try QueryRequest.parameters(data))
    }
}

extension QueryRequest.Parameters: JSONWritable {
    /// The same text for equal parameters.
    package func write(to writer: inout JSONWriter) {
        switch self {
        case .none:
            writer.null()
        case .positional(let values):
            writer.beginArray()
            for value in values { writer.value(value) }
            writer.endArray()
        case .named(let values):
            writer.beginObject()
            for name in values.keys.sorted() {
                writer.key(escaping: name)
                writer.value(values[name] ?? .null)
            }
            writer.endObject()
        }
    }
}
