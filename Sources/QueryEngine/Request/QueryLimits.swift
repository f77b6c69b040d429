public import SQLiteConnection

/// All limits of the query service, with their units and defaults.
public struct QueryLimits: Sendable, Hashable {
    // MARK: Concurrency

    /// Read-only connections, each on its own thread: the number of reads that run at the same time.
    public var readerCount = 4
    /// Additional read-only connections, which replace those whose query sleeps because its receiver takes no rows: so
    /// that this many slow receivers delay no other client.
    public var spareReaderCount = 16
    /// Queries that wait or run at the same time, over all clients.
    public var maxQueries = 2_000
    /// Queries of one client that wait or run at the same time.
    public var maxQueriesPerClient = 32

    // MARK: Time

    /// Time on the query threads that the queries of one identity may take in a second on average; without tokens those of one IP
    /// address, or IPv6 network of 64 bits. Without effect while it is more than all threads have.
    public var maxTimePerSecondOfIdentity = Duration.seconds(10)
    /// Time that they may take at once after a pause. Beyond it queries fail with `RATE_LIMITED` until there is time again.
    public var maxTimeBurstOfIdentity = Duration.seconds(60)
    /// How long a query may wait and run when the request has no timeout.
    public var statementTime = Duration.seconds(30)
    /// The longest time a request may ask for.
    public var maxStatementTime = Duration.seconds(3_600)
    /// How long a query on the writer waits for a transaction of another client, and any query for a lock of another
    /// process.
    public var busyTimeout = Duration.seconds(5)
    /// How long a client may leave its transaction idle before it is rolled back.
    public var transactionIdleTimeout = Duration.seconds(5)
    /// How long a client may keep its transaction, even without idle time, before it is rolled back. A running
    /// statement ends first.
    public var maxTransactionTime = Duration.seconds(60)
    /// The minimum time between two progress reports when the request has no interval.
    public var progressInterval = Duration.milliseconds(250)
    /// The shortest progress interval a request may ask for.
    public var minProgressInterval = Duration.milliseconds(20)
    /// How long a read may wait without interruption for a receiver that does not take its rows: it holds a snapshot,
    /// and with it the write-ahead log.
    public var maxPause = Duration.seconds(30)
    /// The same limit for a query that holds the writer.
    public var maxWriterPause = Duration.seconds(5)
    /// How long a read may hold its snapshot in total, including pauses.
    public var maxSnapshotTime = Duration.seconds(1_800)

    // MARK: Size

    /// The limits of the SQL, of values and of expressions.
    public var evaluation = EvaluationPolicy()
    /// Rows delivered by one query; further rows are left out, and the outcome reports it.
    public var maxRows = Int.max
    /// Bytes of rows delivered by one query, as the sink counts them; further rows are left out, and the outcome
    /// reports it.
    public var maxResultBytes = Int.max
    /// Bytes of one row as the sink counts them; a longer one is an error.
    public var maxRowBytes = 16 << 20
    /// Bytes of heap that SQLite may use in the whole process; beyond it statements fail with `SQLITE_NOMEM`. 0 for no
    /// limit.
    public var maxTotalMemoryBytes = 1 << 30
    /// Bytes of pages that a connection caches. A sort collects this much before it uses a temporary file, and sorting
    /// it cannot be interrupted: twice as much doubles the delay of a cancel, and makes the sort no faster.
    public var cacheBytes = 2 << 20
    /// Compiled statements that a connection keeps for later queries with the same SQL and rights; 0 for none. Each takes up to
    /// 64 kB, usually 5 kB.
    public var maxCachedStatements = 64
    /// Bytes of changed pages that the writer keeps before it writes some of them to the log before the commit.
    public var maxChangedPageBytes = 32 << 20
    /// Bytes of heap that one query may use; a statement that needs more fails.
    public var maxMemoryBytes = 128 << 20
    /// Bytes of temporary files that one query may use to sort, group or make rows distinct.
    public var maxTemporaryBytes = 1 << 30
    /// Bytes of temporary files of all queries together.
    public var maxTotalTemporaryBytes = 4 << 30

    /// The limits of full-text searches.
    public var textSearch = TextSearchLimits()

    // MARK: Batches

    /// Rows and bytes after which a batch is sent.
    public var batchRows = 4_096
    public var batchBytes = 64 << 10
    /// Rows in a batch that is not full are sent after this time.
    public var batchTime = Duration.milliseconds(50)

    public init() {}

    /// The limits of one query's thread.
    var resources: ResourceBudget.Limits {
        ResourceBudget.Limits(
            maxHeapBytes: maxMemoryBytes,
            maxTemporaryBytes: maxTemporaryBytes,
            maxTotalTemporaryBytes: maxTotalTemporaryBytes,
            textSearch: textSearch
        )
    }
}
