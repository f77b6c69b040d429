import SQLiteConnection

/// Brings a row into the columns that its table has later, as `ALTER TABLE` did with the rows that were there: kept columns
/// keep their value, new ones have their default, generated ones are computed.
///
/// A private copy of the table in memory does it, so that the rules are SQLite's own.
final class RowConverter {
    private let connection: Connection
    private var insert: Statement
    private var select: Statement
    private var clear: Statement
    /// For each value that is inserted, its position in the old row.
    private let sources: [Int]
    /// The stored columns that stay, with their positions in the old row.
    private let kept: [(column: Int, source: Int)]
    private let columnCount: Int

    /// - Parameters:
    ///   - table: the table as it is later.
    ///   - sources: for each of its columns, the position in the old row; nil for a new one.
    init(to table: TableDescription, sources: [Int?]) throws(SQLiteError) {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute("PRAGMA ignore_check_constraints = ON")
        try connection.execute(table.sql)
        let name = SQLName(table.name).quoted
        let kept = table.columns.indices.filter { column in
            table.columns[column].visibility == .normal && sources[column] != nil
        }
        self.sources = kept.compactMap { sources[$0] }
        self.kept = table.columns.indices.compactMap { column in
            guard table.columns[column].visibility != .generatedVirtual else { return nil }
            return sources[column].map { (column, $0) }
        }
        columnCount = table.columns.count
        let columns = kept.map { SQLName(table.columns[$0].name).quoted }.joined(separator: ", ")
        let values = kept.map { _ in "?" }.joined(separator: ", ")
        insert = try connection.prepare(
            kept.isEmpty ? "INSERT INTO \(name) DEFAULT VALUES" : "INSERT INTO \(name)(\(columns)) VALUES(\(values))"
        )
        select = try connection.prepare("SELECT * FROM \(name)")
        clear = try connection.prepare("DELETE FROM \(name)")
    }

    func convert(_ row: Row) throws(SQLiteError) -> Row {
        let values = row.values
        for (position, source) in sources.enumerated() {
            try insert.bind(source < values.count ? values[source] : .null, at: position + 1)
        }
        _ = try insert.step()
        insert.reset()
        var converted: [SQLiteValue] = []
        if try select.step() { converted = (0..<columnCount).map { select.value($0) } }
        select.reset()
        _ = try clear.step()
        clear.reset()
        // A stored value stays as it is, also where an incremental blob write made it one that no INSERT would store.
        for (column, source) in kept where column < converted.count && source < values.count {
            converted[column] = values[source]
        }
        return Row(converted)
    }
}
