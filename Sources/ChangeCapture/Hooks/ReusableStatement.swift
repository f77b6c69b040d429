import SQLiteConnection

/// A statement of the capture's own that runs once per transaction.
final class ReusableStatement {
    private var statement: Statement

    init(_ sql: String, on connection: Connection) throws(SQLiteError) {
        statement = try connection.prepare(sql, persistent: true)
    }

    func run() throws(SQLiteError) {
        while try statement.step() {}
    }

    /// The first column of the first row; 0 when there is none.
    func integer() throws(SQLiteError) -> Int64 {
        defer { statement.reset() }
        return try statement.step() ? statement.integer(0) : 0
    }
}
