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
