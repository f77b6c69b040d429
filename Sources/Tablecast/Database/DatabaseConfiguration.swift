import QueryEngine
import SQLiteConnection

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
    /// All limits of clients' queries.
    public var limits = DatabaseLimits()

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

/// All limits of a ``TablecastService``'s queries, with their units.
public struct DatabaseLimits: Sendable, Hashable {
    /// The number of reads that run at the same time. 4.
    public var readers = 4
    /// Queries that wait or run at the same time. 1,000.
    public var maxQueries = 2_000
    /// Queries of one client that wait or run at the same time. 32.
    public var maxQueriesPerClient = 32
    /// How long a query may wait and run when it has no timeout. 30 seconds.
    public var statementTime = Duration.seconds(30)
    /// The longest timeout that a query may ask for. An hour.
    public var maxStatementTime = Duration.seconds(3_600)
    /// How long a query waits for a lock of another process or client. 5 seconds.
    public var busyTimeout = Duration.seconds(5)
    /// How long a client may leave a transaction open without a request. 5 seconds.
    public var transactionIdleTimeout = Duration.seconds(5)
    /// How long a client may keep a transaction open; other writers wait for it. A minute.
    public var maxTransactionTime = Duration.seconds(60)
    /// The minimum time between two progress reports when the query has no interval. 250 milliseconds.
    public var progressInterval = Duration.milliseconds(250)
    /// Bytes of one string, blob or row inside SQLite. 16 MiB. The higher it is, the longer the longest call that
    /// cannot be interrupted.
    public var maxValueBytes = 16 << 20
    /// Bytes of memory that one query may use. 128 MiB.
    public var maxQueryMemoryBytes = 128 << 20
    /// Bytes of temporary files that one query may use to sort, group or make rows distinct. 1 GiB.
    public var maxTemporaryBytes = 1 << 30
    /// Bytes of temporary files of all queries together. 4 GiB.
    public var maxTotalTemporaryBytes = 4 << 30

    public init() {}
}

extension DatabaseConfiguration {
    var serviceConfiguration: ServiceConfiguration {
        var result = ServiceConfiguration(path: path)
        result.limits.readerCount = limits.readers
        result.limits.maxQueries = limits.maxQueries
        result.limits.maxQueriesPerClient = limits.maxQueriesPerClient
        result.limits.statementTime = limits.statementTime
        result.limits.maxStatementTime = limits.maxStatementTime
        result.limits.busyTimeout = limits.busyTimeout
        result.limits.transactionIdleTimeout = limits.transactionIdleTimeout
        result.limits.maxTransactionTime = limits.maxTransactionTime
        result.limits.progressInterval = limits.progressInterval
        result.limits.evaluation.maxValueBytes = limits.maxValueBytes
        result.limits.resources = ResourceBudget.Limits(
            maxHeapBytes: limits.maxQueryMemoryBytes,
            maxTemporaryBytes: limits.maxTemporaryBytes,
            maxTotalTemporaryBytes: limits.maxTotalTemporaryBytes
        )
        result.enforcesForeignKeys = enforcesForeignKeys
        return result
    }
}
