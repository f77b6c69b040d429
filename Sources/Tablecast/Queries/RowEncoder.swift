import SQLiteConnection
import WireProtocol

/// Writes the rows of one statement as JSON in the form that was asked for.
struct RowEncoder: Sendable {
    /// As the message names them: as SQLite does, or each once where they are the keys of objects.
    let columns: [String]
    private let keys: [JSONKey]
    private let format: WireProtocol.QueryRequest.RowFormat
    private let count: Int

    init(columns: [String], format: WireProtocol.QueryRequest.RowFormat) {
        self.columns = format == .objects ? ResultColumns.uniqueNames(columns) : columns
        self.keys = format == .objects ? self.columns.map { JSONKey($0) } : []
        self.format = format
        self.count = columns.count
    }

    /// Writes the current row of the statement, its values borrowed.
    @inline(__always)
    func write(_ statement: borrowing Statement, to writer: inout JSONWriter) {
        switch format {
        case .objects:
            writer.beginObject()
            for column in 0..<count {
                writer.key(keys[column])
                statement.withColumn(column) { writer.value($0) }
            }
            writer.endObject()
        case .arrays:
            writer.beginArray()
            for column in 0..<count {
                statement.withColumn(column) { writer.value($0) }
            }
            writer.endArray()
        }
    }
}
