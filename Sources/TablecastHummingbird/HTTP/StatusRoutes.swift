import Broadcast
import Hummingbird
import LiveQueries
import Tablecast
import WireProtocol

/// `GET /health`, `/ready`, `/status`, `/metrics`.
struct StatusRoutes {
    let service: TablecastService

    /// The process runs, and the watcher makes progress. Runs no SQL, because no token is needed.
    func health() -> Response {
        let watcher = service.watcherStatus
        let age = watcher.heartbeatAge.map { "moved \(Int($0 / .milliseconds(1))) ms ago" } ?? "does not run"
        let text = "watcher \(age), \(watcher.commitsBehind) commits behind"
        guard watcher.isMoving else { return .failure(.serviceUnavailable, .internal, text) }
        return .text("ok\n\(text)\n")
    }

    /// The database is available and watched. Runs no SQL, because no token is needed.
    func ready() -> Response {
        let watcher = service.watcherStatus
        if let reason = watcher.goneBecause { return .failure(.serviceUnavailable, .databaseGone, reason) }
        guard watcher.isMoving else { return .failure(.serviceUnavailable, .internal, "the watcher makes no progress") }
        return .text("ready\n")
    }

    func status() -> Response {
        let statistics = service.server.hub.statistics
        var writer = JSONWriter()
        writer.beginObject()
        writer.field("version", TablecastVersion.current)
        writer.field("database", service.databaseName)
        writer.field("connectedClients", statistics.clients)
        writer.field("uptime", service.uptime.components.seconds)
        writer.field("position", service.server.hub.position)
        writer.field("transactions", Int64(clamping: statistics.publications))
        writer.field("historyTransactions", statistics.historyTransactions)
        writer.field("historyBytes", statistics.historyBytes)
        writer.endObject()
        return .json(writer.bytes)
    }

    /// Returns the metrics in the text format of Prometheus.
    func metrics(for identity: Identity) async -> Response {
        service.updateLevels()
        var text = service.server.metrics.registry.text()
        func add(_ name: String, _ kind: String, _ help: String, _ value: some Numeric) {
            text += "# HELP tablecast_\(name) \(help)\n# TYPE tablecast_\(name) \(kind)\ntablecast_\(name) \(value)\n"
        }
        if let live = service.liveStatistics {
            add("live_steps_total", "counter", "Commits evaluated by changed rows.", live.incrementalSteps)
            add("live_skipped_steps_total", "counter", "Steps without a change of a read column.", live.skippedSteps)
            add("live_step_seconds_total", "counter", "Time of incremental steps.", live.stepTime / .seconds(1))
            add("live_runs_total", "counter", "Whole runs of queries.", live.runs)
            add("live_spared_runs_total", "counter", "Whole runs skipped for lack of changes.", live.sparedRuns)
            add("live_run_seconds_total", "counter", "Time of whole runs.", live.runTime / .seconds(1))
            add("live_changes_total", "counter", "Changes of results sent.", live.deltas)
            add("live_resets_total", "counter", "Results sent again as a whole.", live.resets)
        }
        text += liveMetrics(await service.liveFigures(), withSQL: identity.seesSQLOfOthers)
        return .text(text, contentType: "text/plain; version=0.0.4; charset=utf-8")
    }

    /// Of each live query by itself, named as its subscribers know it.
    ///
    /// - Parameter withSQL: whether the reader may know what others ask for.
    private func liveMetrics(_ queries: [LiveQueryFigures], withSQL: Bool) -> String {
        guard !queries.isEmpty else { return "" }
        var text = ""
        func add(_ name: String, _ kind: String, _ help: String, _ value: (LiveQueryFigures) -> some Numeric) {
            text += "# HELP tablecast_live_query_\(name) \(help)\n# TYPE tablecast_live_query_\(name) \(kind)\n"
            for query in queries { text += "tablecast_live_query_\(name){query=\"\(query.id)\"} \(value(query))\n" }
        }
        text += "# HELP tablecast_live_query_info How it is kept up to date.\n# TYPE tablecast_live_query_info gauge\n"
        for query in queries {
            let plan = query.isIncremental ? "incremental" : "rerun"
            text += "tablecast_live_query_info{query=\"\(query.id)\",plan=\"\(plan)\""
            if let reason = query.rerunReason { text += ",reason=\"\(Self.label(reason))\"" }
            if withSQL { text += ",sql=\"\(Self.label(query.sql))\"" }
            text += "} 1\n"
        }
        add("subscribers", "gauge", "Clients that follow it.") { $0.statistics.subscribers }
        add("steps_total", "counter", "Commits evaluated by their changed rows.") { $0.statistics.incrementalSteps }
        add("runs_total", "counter", "Runs as a whole.") { $0.statistics.runs }
        add("seconds_total", "counter", "Time of both.") {
            ($0.statistics.stepTime + $0.statistics.runTime) / .seconds(1)
        }
        add("changes_total", "counter", "Changes of its result.") { $0.statistics.deltas }
        add("resets_total", "counter", "Results sent again as a whole.") { $0.statistics.resets }
        add("lag_seconds", "gauge", "Since the first commit that its subscribers do not have.") { $0.lag / .seconds(1) }
        return text
    }

    private static let maxLabelLength = 200

    private static func label(_ text: String) -> String {
        let short = text.count > maxLabelLength ? text.prefix(maxLabelLength) + "…" : text[...]
        return short.reduce(into: "") { label, character in
            switch character {
            case "\\": label += "\\\\"
            case "\"": label += "\\\""
            case "\n", "\r\n", "\r": label += "\\n"
            default: label.append(character)
            }
        }
    }
}
