package import SQLiteConnection

/// Every bound of the query service, with its unit and its default.
package struct QueryLimits: Sendable {
    // MARK: Who may run how much

    /// Read-only connections, each on a thread of its own: how many reads run at the same time.
    package var readerCount = 4
    /// Further read-only connections, which stand in for those whose query sleeps because its receiver takes no rows: so
    /// many slow receivers delay nobody else.
    package var spareReaderCount = 16
    /// Queries that wait or run at the same time, over all clients.
    package var maxQueries = 2_000
    /// Queries of one client that wait or run at the same time.
    package var maxQueriesPerClient = 32

    // MARK: Time

    /// How long a query may wait and run when the request does not say.
    package var statementTime = Duration.seconds(30)
    /// The longest time a request may ask for.
    package var maxStatementTime = Duration.seconds(3_600)
    /// How long a writer waits for a transaction of another client, and any query for a lock of another process.
    package var busyTimeout = Duration.seconds(5)
    /// How long a client may leave its transaction without a request before it is rolled back.
    package var transactionIdleTimeout = Duration.seconds(5)
    /// How long a client may keep its transaction at all, however busy it is with it, before it is rolled back. A statement
    /// that runs then comes to its end first.
    package var maxTransactionTime = Duration.seconds(60)
    /// The least time between two reports of progress when the request does not say.
    package var progressInterval = Duration.milliseconds(250)
    /// The shortest progress interval a request may ask for.
    package var minProgressInterval = Duration.milliseconds(20)
    /// How long a read may wait at a stretch for a receiver that does not take its rows: it holds a snapshot, and with it
    /// the write-ahead log.
    package var maxPause = Duration.seconds(30)
    /// The same for a query that holds the writer.
    package var maxWriterPause = Duration.seconds(5)
    /// How long a read may hold its snapshot altogether, pauses included.
    package var maxSnapshotTime = Duration.seconds(1_800)

    // MARK: Size

    /// Of the SQL, of values, and of what expressions may be made of.
    package var evaluation = EvaluationPolicy()
    /// Rows delivered by one query; more are left out, and the outcome says so.
    package var maxRows = Int.max
    /// Bytes of rows delivered by one query, as the sink counts them; more are left out, and the outcome says so.
    package var maxResultBytes = Int.max
    /// Bytes of one row as the sink counts them; a longer one is an error.
    package var maxRowBytes = 16 << 20
    /// Bytes of heap that SQLite may use in the whole process; beyond it statements fail with `SQLITE_NOMEM`. 0 for no
    /// limit.
    package var maxHeapBytes = 1 << 30
    /// Bytes of pages that a connection keeps. A sort keeps as much before it uses a temporary file, and while it orders
    /// that nothing can interrupt it: with twice as much a cancel comes twice as late, and the sort ends no sooner.
    package var cacheBytes = 2 << 20
    /// Bytes of changed pages that the writer keeps before it writes some of them to the log ahead of the commit.
    package var maxChangedPageBytes = 32 << 20
    /// Bytes of heap and of temporary files that one query may take; the statement that wants more fails.
    package var resources = ResourceBudget.Limits(
        maxHeapBytes: 128 << 20,
        maxTemporaryBytes: 1 << 30,
        maxTotalTemporaryBytes: 4 << 30
    )

    // MARK: Batches

    /// Rows and bytes after which a batch goes out.
    package var batchRows = 4_096
    package var batchBytes = 64 << 10
    /// Rows that wait in a batch go out after this time even if it is not full.
    package var batchTime = Duration.milliseconds(50)

    package init() {}
}
