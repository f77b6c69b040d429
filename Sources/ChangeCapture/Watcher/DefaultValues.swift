import SQLiteConnection

/// The values that columns added by `ALTER TABLE … ADD COLUMN` have in rows written before.
///
/// Such a default is a constant expression; SQLite evaluates it here, in a database of its own in memory, so that the
/// column's affinity is applied as SQLite applies it.
struct DefaultValues {
    private struct Key: Hashable {
        var type: String
        var sql: String
    }

    /// More columns than any real schema has; a schema that changes forever does not fill the memory.
    private static let maxEntries = 10_000

    private let connection: Connection
    private var values: [Key: SQLiteValue] = [:]

    init() throws(SQLiteError) {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
    }

    mutating func value(of column: ColumnDescription) -> SQLiteValue {
        guard let sql = column.defaultSQL else { return .null }
        let key = Key(type: column.type, sql: sql)
        if let value = values[key] { return value }
        // CURRENT_TIMESTAMP and expressions are not allowed for an added column: no row lacks such a value.
        let value = (try? evaluate(key)) ?? .null
        if values.count >= Self.maxEntries { values.removeAll() }
        values[key] = value
        return value
    }

    private func evaluate(_ key: Key) throws(SQLiteError) -> SQLiteValue {
        try connection.execute("DROP TABLE IF EXISTS d")
        try connection.execute("CREATE TABLE d(c \(key.type) DEFAULT (\(key.sql)))")
        try connection.execute("INSERT INTO d DEFAULT VALUES")
        return try connection.query("SELECT c FROM d").first?.first ?? .null
    }
}
