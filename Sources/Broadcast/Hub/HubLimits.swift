/// Every bound of a ``Hub``.
package struct HubLimits: Sendable {
    /// What may wait for one connection, beyond which it is closed as too slow. What is
    /// larger by itself still goes to a connection for which nothing else waits. 8 MiB.
    package var maxQueuedBytes = 8 << 20
    /// What may still wait for a connection when more is made for it: a replay, a result, a snapshot. 256 KiB.
    package var resumeQueuedBytes = 256 << 10
    /// What may be published and not yet written by one event loop, beyond which its connections are closed as too
    /// slow. 256 MiB.
    package var maxPendingBytes = 256 << 20
    /// From how many clients an event loop waits before it writes, for as long as each turn brings more. 64.
    package var minGatheringClients = 64
    /// What is enough for one write: nothing waits for more. 8 KiB.
    package var gatheredBytes = 8 << 10
    /// How much of a replay is made in one turn of an event loop. 256 KiB.
    package var replayChunkBytes = 256 << 10
    /// Subscriptions of one connection to tables. 100.
    package var maxSubscriptionsPerClient = 100
    /// Distinct filters on tables of one owner over all its connections: each costs an encoding of each transaction. 1,000.
    package var maxDistinctFilters = 1000
    /// Distinct filters on tables of all owners. 10,000.
    package var maxDistinctFiltersInAll = 10_000
    package var history = HistoryLimits()

    package init() {}
}

/// The bounds of the transactions that are kept for clients that resume.
package struct HistoryLimits: Sendable {
    /// 64 MiB.
    package var maxBytes = 64 << 20
    /// 100,000.
    package var maxTransactions = 100_000
    /// An hour.
    package var maxAge: Duration = .seconds(3600)
    /// What may be kept for clients that are in the middle of a replay or a snapshot, beyond which they are closed as too
    /// slow. 256 MiB.
    package var maxPinnedBytes = 256 << 20

    package init() {}
}

/// What a hub has done so far, for monitoring.
package struct HubStatistics: Sendable, Hashable {
    /// Now connected.
    package var clients = 0
    package var publications: UInt64 = 0
    /// Buffers that were handed to connections.
    package var writes: UInt64 = 0
    package var writtenBytes: UInt64 = 0
    /// Connections that were closed because they did not read.
    package var closedAsTooSlow: UInt64 = 0
    /// Kept for clients that resume.
    package var historyTransactions = 0
    package var historyBytes = 0

    mutating func add(_ done: ShardStatistics) {
        writes += done.writes
        writtenBytes += done.writtenBytes
        closedAsTooSlow += done.closedAsTooSlow
    }
}

/// What one shard has done since it last told the hub.
struct ShardStatistics: Sendable {
    var writes: UInt64 = 0
    var writtenBytes: UInt64 = 0
    var closedAsTooSlow: UInt64 = 0
}
