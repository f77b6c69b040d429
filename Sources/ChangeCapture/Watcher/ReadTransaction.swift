package import SQLiteConnection

/// A connection in the middle of a read transaction, to be handed from thread to thread.
///
/// `@unchecked Sendable`: whoever has it uses it on one thread at a time, and hands it on with everything done before.
package final class ReadTransaction: @unchecked Sendable {
    package let connection: Connection

    /// Opens the file.
    init(path: String) throws(SQLiteError) {
        connection = try Connection(path: path, mode: .readOnly)
        try connection.configure(.defensive, true)
        try connection.configure(.trustedSchema, false)
        connection.setBusyTimeout(.milliseconds(100))
    }

    /// Begins to read, or begins again.
    func begin() throws(SQLiteError) {
        if !connection.isInAutocommit { try connection.execute("ROLLBACK") }
        try connection.execute("BEGIN")
        _ = try connection.query("SELECT count(*) FROM sqlite_schema")
    }

    /// Ends the transaction.
    package func end() { connection.close() }
}
