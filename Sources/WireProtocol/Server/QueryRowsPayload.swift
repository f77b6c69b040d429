/// `query:rows`: some rows of a query's result, to the client that asked for them alone.
public struct QueryRowsPayload: Sendable, Hashable, Codable {
    public var queryID: String
    /// Which statement of the query, counted from zero.
    public var statementIndex: Int
    /// The names of the columns. With rows that are arrays two can be the same; with objects they are those of
    /// ``ResultColumns/uniqueNames(_:)``.
    public var columns: [String]
    public var rows: [WireRow]
    /// How many rows of the statement came before.
    public var offset: Int

    public init(queryID: String, statementIndex: Int, columns: [String], rows: [WireRow], offset: Int) {
        self.queryID = queryID
        self.statementIndex = statementIndex
        self.columns = columns
        self.rows = rows
        self.offset = offset
    }

    private enum CodingKeys: String, CodingKey {
        case queryID = "queryId"
        case statementIndex
        case columns
        case rows
        case offset
    }

    /// Writes everything up to the elements of `rows`, which come next; then ``endWriting(to:)``.
    package static func beginWriting(
        to writer: inout JSONWriter,
        queryID: String,
        statementIndex: Int,
        columns: [String],
        offset: Int
    ) {
        writer.beginObject()
        writer.field("queryId", queryID)
        writer.field("statementIndex", statementIndex)
        writer.field("columns", columns)
        writer.field("offset", offset)
        writer.key("rows")
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
