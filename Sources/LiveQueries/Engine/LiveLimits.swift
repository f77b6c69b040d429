/// Every bound of live queries, with its unit, its default and what happens beyond it.
package struct LiveLimits: Sendable, Hashable {
    /// Distinct queries in all, those that linger included; another one is refused.
    package var maxQueries = 1_000
    /// Queries of one connection; another one is refused.
    package var maxQueriesPerClient = 100
    /// Rows of a result; a query that has more is refused, or ended.
    package var maxRows = 100_000
    /// Bytes of a result's rows; a query that has more is refused, or ended.
    package var maxResultBytes = 32 << 20
    package var maxSQLBytes = 100_000
    package var maxParameters = 1_000
    /// How long a query may run as a whole; one that takes longer is refused, or ended.
    package var maxRunTime = Duration.seconds(2)
    /// How long the step of one query may take that evaluates a commit by its changed rows; one that takes longer is run as a
    /// whole from then on.
    package var maxStepTime = Duration.milliseconds(200)
    /// Rows that a step may look at; with more the query is run as a whole.
    package var maxChangedKeys = 10_000
    /// Commits that may wait to be evaluated; with more all queries start again with a snapshot.
    package var maxPendingTransactions = 10_000
    /// Rows of commits that may wait to be evaluated; with more all queries start again with a snapshot.
    package var maxPendingRows = 500_000
    /// From this many waiting commits on, several are evaluated as one.
    package var coalesceFromTransactions = 16
    /// The least time between two runs of the same query as a whole. It is at least as long as the last run took.
    package var minRunInterval = Duration.milliseconds(10)
    /// How long the log may be kept from starting at its beginning. After that the queries that are not evaluated yet start
    /// again with a snapshot.
    package var maxPinTime = Duration.seconds(2)
    /// The same in frames of the log.
    package var maxPinnedFrames = 50_000
    /// From this many frames on the pin follows every commit at once, so that a checkpoint can come to the end of the log.
    package var eagerPinFrames = 2_000
    /// How often the pin moves on while commits come.
    package var pinInterval = Duration.milliseconds(50)
    /// Deltas of a query that are kept for clients that come back.
    package var maxLogDeltas = 1_000
    /// Bytes of them.
    package var maxLogBytes = 4 << 20
    /// How long a query without subscribers is kept up to date for clients that come back.
    package var lingerTime = Duration.seconds(30)
    /// How often at most clients learn that all queries are exact as of a position.
    package var reachedInterval = Duration.milliseconds(100)

    package init() {}
}
