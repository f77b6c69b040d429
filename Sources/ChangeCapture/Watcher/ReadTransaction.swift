package import SQLiteConnection

/// A connection in the middle of a read transaction, to be handed from thread to thread.
///
/// `@unchecked Sendable`: whoever has it uses it on one thread at a time, and hands it on with everything done before.
package final class ReadTransaction: @unchecked Sendable {
    /// Twice what a row may have, so that its reader can name the row that has more.
    private static let policy = {
        var policy = EvaluationPolicy()
        policy.maxValueBytes *= 2
        return policy
    }()

    package let connection: Connection
    /// Reads page 1 alone and is indifferent to the schema, so that it takes no longer than it must.
    private var first: Statement?

    /// Opens the file.
    init(path: String) throws(SQLiteError) {
        connection = try Self.policy.openReader(path: path)
        connection.setBusyTimeout(.milliseconds(100))
        first = try connection.prepare("PRAGMA schema_version", persistent: true)
    }

    /// Makes ready for ``begin()``, which is quick then; ends what was begun before.
    func prepare() throws(SQLiteError) {
        if !connection.isInAutocommit { try connection.execute("ROLLBACK") }
        try connection.execute("BEGIN")
    }

    /// Begins to read: from now on the connection sees one state of the database.
    func begin() throws(SQLiteError) {
        defer { first?.reset() }
        _ = try first?.step()
    }

    /// Bounds the values that the connection handles, where `schema` is the SQL of what is evaluated next.
    package func boundValues(schema: some Sequence<String>) {
        Self.policy.boundValues(of: connection, schema: schema)
    }

    /// Ends the transaction.
    package func end() {
        // The connection is closed only once its last statement is gone.
        first = nil
        connection.close()
    }
}
