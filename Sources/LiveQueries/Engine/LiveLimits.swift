/// All limits of live queries, with their units, their defaults and the effect of exceeding them.
package struct LiveLimits: Sendable, Hashable {
    /// Distinct queries in total, including lingering ones; another one is refused.
    package var maxQueries = 1_000
    /// Queries of one connection; another one is refused.
    package var maxQueriesPerClient = 100
    /// Rows of a result; a query with more is refused, or ended.
    package var maxRows = 100_000
    /// Bytes of a result's rows; a query with more is refused, or ended.
    package var maxResultBytes = 32 << 20
    package var maxSQLBytes = 100_000
    package var maxParameters = 1_000
    /// How long a whole run of a query may take; a query that takes longer is refused, or ended.
    package var maxRunTime = Duration.seconds(2)
    /// How long the step of one query may take that evaluates a commit by its changed rows; a query that takes longer
    /// runs as a whole from then on.
    package var maxStepTime = Duration.milliseconds(200)
    /// Rows that a step may examine; with more the query runs as a whole.
    package var maxChangedKeys = 10_000
    /// Commits that may be pending; with more all queries start again with a snapshot.
    package var maxPendingTransactions = 10_000
    /// Rows of pending commits; with more all queries start again with a snapshot.
    package var maxPendingRows = 500_000
    /// From this number of pending commits on, several are evaluated as one.
    package var coalesceFromTransactions = 16
    /// The minimum time between two whole runs of the same query. It is at least as long as the last run took.
    package var minRunInterval = Duration.milliseconds(10)
    /// How long the log may be prevented from starting at its beginning. After that, the queries that are not evaluated
    /// yet start again with a snapshot.
    package var maxPinTime = Duration.seconds(2)
    /// The same limit in frames of the log.
    package var maxPinnedFrames = 50_000
    /// From this number of frames on the pin follows every commit at once, so that a checkpoint can reach the end of the log.
    package var eagerPinFrames = 2_000
    /// How often the pin advances while commits arrive.
    package var pinInterval = Duration.milliseconds(50)
    /// Deltas of a query that are kept for clients that reconnect.
    package var maxLogDeltas = 1_000
    /// Bytes of these deltas.
    package var maxLogBytes = 4 << 20
    /// How long a query without subscribers is kept up to date for clients that reconnect.
    package var lingerTime = Duration.seconds(30)
    /// The minimum time between two notifications that all queries are exact as of a position.
    package var reachedInterval = Duration.milliseconds(100)

    package init() {}
}
