import SQLiteConnection

/// A connection that does nothing but hold a read transaction.
final class PinConnection {
    private let connection: Connection
    private var statement: Statement?

    init(path: String, limits: WatcherLimits) throws(SQLiteError) {
        connection = try Connection(path: path, mode: .readWrite)
        connection.setBusyTimeout(limits.busyTimeout)
        try connection.execute("PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; PRAGMA cache_size=-64")
        // A statement that has given a row and was not reset keeps its transaction open. This one reads page 1 alone and
        // is indifferent to the schema, which SQLite would otherwise parse again after each change of it.
        statement = try connection.prepare("PRAGMA schema_version", persistent: true)
    }

    func start() throws(SQLiteError) { _ = try statement?.step() }

    func end() { statement?.reset() }

    func close() {
        // The connection is closed only once its last statement is gone.
        statement = nil
        connection.close()
    }
}
