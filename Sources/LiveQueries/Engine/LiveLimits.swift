/// All limits of live queries, with their units, their defaults and the effect of exceeding them.
public struct LiveLimits: Sendable, Hashable {
    /// Distinct queries in total, including lingering ones; another one is refused.
    public var maxQueries = 1_000
    /// Queries of one connection; another one is refused.
    public var maxQueriesPerClient = 100
    /// Rows of a result; a query with more is refused, or ended.
    public var maxRows = 100_000
    /// Bytes of a result's rows; a query with more is refused, or ended.
    public var maxResultBytes = 32 << 20
    public var maxSQLBytes = 100_000
    public var maxParameters = 1_000
    /// How long a whole run of a query may take; a query that takes longer is refused, or ended.
    public var maxRunTime = Duration.seconds(2)
    /// How long the step of one query may take that evaluates a commit by its changed rows; a query that takes longer
    /// runs as a whole from then on.
    public var maxStepTime = Duration.milliseconds(200)
    /// Rows that a step may examine; with more the query runs as a whole.
    public var maxChangedKeys = 10_000
    /// Commits that may be pending; with more all queries start again with a snapshot.
    public var maxPendingTransactions = 10_000
    /// Rows of pending commits; with more all queries start again with a snapshot.
    public var maxPendingRows = 500_000
    /// From this number of pending commits on, several are evaluated as one.
    public var coalesceFromTransactions = 16
    /// The minimum time between two whole runs of the same query. It is at least as long as the last run took.
    public var minRunInterval = Duration.milliseconds(10)
    /// How long the log may be prevented from starting at its beginning. After that, the queries that are not evaluated
    /// yet start again with a snapshot.
    public var maxPinTime = Duration.seconds(2)
    /// The same limit in frames of the log.
    public var maxPinnedFrames = 50_000
    /// From this number of frames on the pin follows every commit at once, so that a checkpoint can reach the end of the log.
    public var eagerPinFrames = 2_000
    /// How often the pin advances while commits arrive.
    public var pinInterval = Duration.milliseconds(50)
    /// Deltas of a query that are kept for clients that reconnect.
    public var maxLogDeltas = 1_000
    /// Bytes of these deltas.
    public var maxLogBytes = 4 << 20
    /// How long a query without subscribers is kept up to date for clients that reconnect.
    public var lingerTime = Duration.seconds(30)
    /// The minimum time between two notifications that all queries are exact as of a position.
    public var reachedInterval = Duration.milliseconds(100)

    public init() {}
}
