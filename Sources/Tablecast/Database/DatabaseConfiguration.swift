import QueryEngine
import SQLiteConnection

/// Which database a ``TablecastService`` watches, and what its clients may do with it.
public struct DatabaseConfiguration: Sendable {
    /// The file, which must exist; or ``InMemoryDatabase/name`` for an empty database that lasts as long as the service.
    public var path: String
    /// Clients may only read.
    public var isReadOnly = false
    /// Switch a database in a rollback-journal mode to write-ahead logging, for good. Without it the service watches the
    /// file as it is, and says what it then cannot know.
    public var switchesToWAL = false
    /// Enforce foreign keys in every query, as `PRAGMA foreign_keys = ON` does. Off, as in SQLite itself: a client that
    /// wants them says so in its script, ahead of BEGIN.
    public var enforcesForeignKeys = false
    /// Queries that take at least this long are logged at `notice` with their SQL; nil for none. A second.
    public var slowQueryThreshold: Duration? = .seconds(1)
    /// Every bound of its clients' queries.
    public var limits = DatabaseLimits()

    /// Kept, so that it lasts as long as what is configured with it.
    var memory: InMemoryDatabase?

    public init(path: String) { self.path = path }

    /// A database in memory that was made before, and filled perhaps.
    public init(_ database: InMemoryDatabase) {
        path = database.path
        memory = database
    }

    /// An empty database in memory, with every feature, that lasts until the service shuts down or is released: for trying
    /// things out and for tests.
    public static var inMemory: DatabaseConfiguration { DatabaseConfiguration(path: InMemoryDatabase.name) }

    /// With the file that is really opened.
    func resolved() throws(DatabaseFileError) -> DatabaseConfiguration {
        var result = self
        if memory == nil, path == InMemoryDatabase.name {
            let database = try InMemoryDatabase()
            result.path = database.path
            result.memory = database
        }
        // A script that fills it can have switched it to another mode.
        if result.memory != nil { result.switchesToWAL = true }
        return result
    }
}

/// Every bound of a ``TablecastService``'s queries, with its unit.
public struct DatabaseLimits: Sendable, Hashable {
    /// How many reads run at the same time. 4.
    public var readers = 4
    /// Queries that wait or run at the same time. 1,000.
    public var maxQueries = 2_000
    /// The same of one client. 32.
    public var maxQueriesPerClient = 32
    /// How long a query may wait and run when it does not say. 30 seconds.
    public var statementTime = Duration.seconds(30)
    /// The longest time that a query may ask for. An hour.
    public var maxStatementTime = Duration.seconds(3_600)
    /// How long a writer waits for somebody else's lock. 5 seconds.
    public var busyTimeout = Duration.seconds(5)
    /// How long a client may leave a transaction open without a request. 5 seconds.
    public var transactionIdleTimeout = Duration.seconds(5)
    /// How long a client may keep a transaction open at all; other writers wait for it. A minute.
    public var maxTransactionTime = Duration.seconds(60)
    /// Between two reports of progress when the query does not say. 250 milliseconds.
    public var progressInterval = Duration.milliseconds(250)
    /// Bytes of one string, blob or row inside SQLite. 16 MiB. The higher it is, the longer the longest call that nothing
    /// interrupts.
    public var maxValueBytes = 16 << 20
    /// Bytes of memory that one query may take. 128 MiB.
    public var maxQueryMemoryBytes = 128 << 20
    /// Bytes of temporary files that one query may take: what it sorts, groups or makes distinct. 1 GiB.
    public var maxTemporaryBytes = 1 << 30
    /// The same of all queries together. 4 GiB.
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
