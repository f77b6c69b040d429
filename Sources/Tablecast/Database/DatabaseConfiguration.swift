import ChangeCapture
import QueryEngine

/// The database of a ``TablecastService``, and the access of its clients.
public struct DatabaseConfiguration: Sendable {
    /// The file, which must exist; or ``InMemoryDatabase/name`` for an empty database that exists as long as the
    /// service.
    public var path: String
    /// Whether clients may only read.
    public var isReadOnly = false
    /// Whether to switch a database in a rollback-journal mode to write-ahead logging permanently. Otherwise the
    /// service watches the file in its mode, and reports what it cannot know in it.
    public var switchesToWAL = false
    /// Whether to enforce foreign keys in every query, as `PRAGMA foreign_keys = ON` does. False by default, as in
    /// SQLite itself: a client that wants them sends the pragma in its script, before BEGIN.
    public var enforcesForeignKeys = false
    /// Queries that take at least this long are logged at `notice` with their SQL; nil for none. A second.
    public var slowQueryThreshold: Duration? = .seconds(1)
    /// Where the positions and the latest transactions are kept, so that clients can resume after a restart. ``StateStorage/none``
    /// by default.
    public var state = StateStorage.none

    /// Whether rows are captured with their values from the first commit on, as a publisher of everything needs it.
    package var capturesValues = false

    /// Retained, so that it exists as long as this configuration.
    var memory: InMemoryDatabase?

    public init(path: String) { self.path = path }

    /// Serves an in-memory database that already exists, possibly with content.
    public init(_ database: InMemoryDatabase) {
        path = database.path
        memory = database
    }

    /// An empty in-memory database, with every feature, that exists until the service shuts down or is released: for
    /// experiments and tests.
    public static var inMemory: DatabaseConfiguration { DatabaseConfiguration(path: InMemoryDatabase.name) }

    /// The same configuration with the path of the file that is opened.
    func resolved() throws(DatabaseFileError) -> DatabaseConfiguration {
        var result = self
        if memory == nil, path == InMemoryDatabase.name {
            let database = try InMemoryDatabase()
            result.path = database.path
            result.memory = database
        }
        // A script that fills the database can have changed its journal mode.
        if result.memory != nil { result.switchesToWAL = true }
        return result
    }
}

extension DatabaseConfiguration {
    func serviceConfiguration(_ limits: Limits) -> ServiceConfiguration {
        var result = ServiceConfiguration(path: path)
        result.limits = limits.query
        result.captureLimits = limits.capture.transaction
        result.enforcesForeignKeys = enforcesForeignKeys
        return result
    }
}
