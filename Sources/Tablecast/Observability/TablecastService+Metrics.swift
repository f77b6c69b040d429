import Broadcast
import LiveQueries
import QueryEngine
import SQLiteConnection
import StateStore
import WireProtocol

extension TablecastService {
    /// Updates every gauge: before `/metrics` is written, and every ten seconds for the application's own backend while
    /// ``run()`` runs. Runs no SQL.
    package func updateLevels() {
        let metrics = server.metrics
        let statistics = server.hub.statistics
        metrics.set("tablecast_clients", to: Double(statistics.clients))
        metrics.set("tablecast_history_transactions", to: Double(statistics.historyTransactions))
        metrics.set("tablecast_history_bytes", to: Double(statistics.historyBytes))
        metrics.set("tablecast_queries_active", to: Double(queries.activeCount))
        let watcher = watcherStatus
        if let age = watcher.heartbeatAge {
            metrics.set("tablecast_watcher_heartbeat_age_seconds", to: age / .seconds(1))
        }
        metrics.set("tablecast_watcher_commits_behind", to: Double(watcher.commitsBehind))
        metrics.set("tablecast_database_bytes", to: Self.byteCount(configuration.path))
        metrics.set("tablecast_log_bytes", to: Self.byteCount(configuration.path + "-wal"))
        if let state = feed.publisher.keeper?.statistics {
            metrics.set("tablecast_state_bytes", to: Double(state.byteCount))
            metrics.set("tablecast_state_age_seconds", to: Double(max(0, UnixTime.milliseconds - state.oldest)) / 1_000)
            metrics.set("tablecast_state_sync_seconds", to: state.lastSync / .seconds(1))
            metrics.set("tablecast_state_segments_removed", to: Double(state.removedSegments))
        }
        if let live = liveStatistics {
            metrics.set("tablecast_live_queries", to: Double(live.queries))
            metrics.set("tablecast_live_subscribers", to: Double(live.subscribers))
            metrics.set("tablecast_live_pending_transactions", to: Double(live.pendingTransactions))
        }
        metrics.set("tablecast_uptime_seconds", to: uptime / .seconds(1))
    }

    /// 0 when there is no such file.
    private static func byteCount(_ path: String) -> Double { Double(FileStamp(path: path)?.byteCount ?? 0) }
}
