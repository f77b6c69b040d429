/// All limits of the fan-out of messages to clients.
public struct HubLimits: Sendable, Hashable {
    /// Bytes that may wait for one connection; beyond this it is closed as too slow. A single larger message is still
    /// sent to a connection for which nothing else waits. 8 MiB.
    public var maxQueuedBytes = 8 << 20
    /// Bytes that may wait for a connection when more is produced for it: a replay, a result, a snapshot. 256 KiB.
    public var resumeQueuedBytes = 256 << 10
    /// Bytes that may be published and not yet written by one event loop; beyond this its connections are closed as too
    /// slow. 256 MiB.
    public var maxPendingBytes = 256 << 20
    /// The number of clients from which an event loop delays writing, as long as each turn brings more messages. 64.
    public var minGatheringClients = 64
    /// Bytes that are enough for one write: it is not delayed further. 8 KiB.
    public var gatheredBytes = 8 << 10
    /// Bytes of a replay that are sent in one turn of an event loop. 256 KiB.
    public var replayChunkBytes = 256 << 10
    /// Subscriptions to tables of one connection. 100.
    public var maxSubscriptionsPerClient = 100
    /// Distinct filters on tables of one owner over all its connections: each costs one encoding of each transaction.
    /// 1,000.
    public var maxDistinctFilters = 1000
    /// Distinct filters on tables of all owners. 10,000.
    public var maxDistinctFiltersInAll = 10_000
    public var history = HistoryLimits()

    public init() {}
}

/// The limits of the transactions that are kept for clients that resume.
public struct HistoryLimits: Sendable, Hashable {
    /// 64 MiB.
    public var maxBytes = 64 << 20
    /// 100,000.
    public var maxTransactions = 100_000
    /// An hour.
    public var maxAge: Duration = .seconds(3600)
    /// Bytes that may be kept for clients during a replay or a snapshot; beyond this they are closed as too slow. 256
    /// MiB.
    public var maxPinnedBytes = 256 << 20

    public init() {}
}

/// The hub's counters, for monitoring.
package struct HubStatistics: Sendable, Hashable {
    /// Current connections.
    package var clients = 0
    package var publications: UInt64 = 0
    /// Buffers passed to connections.
    package var writes: UInt64 = 0
    package var writtenBytes: UInt64 = 0
    /// Connections that were closed because they did not read.
    package var closedAsTooSlow: UInt64 = 0
    /// Transactions kept for clients that resume.
    package var historyTransactions = 0
    package var historyBytes = 0

    mutating func add(_ done: ShardStatistics) {
        writes += done.writes
        writtenBytes += done.writtenBytes
        closedAsTooSlow += done.closedAsTooSlow
    }
}

/// The counters of one shard since its last report to the hub.
struct ShardStatistics: Sendable {
    var writes: UInt64 = 0
    var writtenBytes: UInt64 = 0
    var closedAsTooSlow: UInt64 = 0
}
