import Broadcast
import Hummingbird
import LiveQueries
import Tablecast
import WireProtocol

/// `GET /health`, `/ready`, `/status`, `/metrics`.
struct StatusRoutes {
    let service: any MonitoredService

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
        guard !service.server.isStopping else {
            return .failure(.serviceUnavailable, .interrupted, "the server is stopping")
        }
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
        var text = PrometheusText()
        service.server.metrics.registry.write(to: &text)
        if let live = service.liveStatistics { write(live, to: &text) }
        write(await service.liveFigures(), withSQL: identity.seesSQLOfOthers, to: &text)
        return .text(text.text, contentType: "text/plain; version=0.0.4; charset=utf-8")
    }

    private func write(_ live: LiveQueryStatistics, to text: inout PrometheusText) {
        func counter(_ name: String, _ help: String, _ value: some CustomStringConvertible) {
            text.begin("tablecast_live_" + name, .counter, help: help)
            text.sample("tablecast_live_" + name, value)
        }
        counter("steps_total", "Commits evaluated by changed rows.", live.incrementalSteps)
        counter("skipped_steps_total", "Steps without a change of a read column.", live.skippedSteps)
        counter("step_seconds_total", "Time of incremental steps.", live.stepTime / .seconds(1))
        counter("runs_total", "Whole runs of queries.", live.runs)
        counter("spared_runs_total", "Whole runs skipped for lack of changes.", live.sparedRuns)
        counter("run_seconds_total", "Time of whole runs.", live.runTime / .seconds(1))
        counter("changes_total", "Changes of results sent.", live.deltas)
        counter("resets_total", "Results sent again as a whole.", live.resets)
    }

    /// Writes the metrics of each live query, labelled with the subscription id of its clients.
    ///
    /// - Parameter withSQL: whether the reader may see the SQL of other clients.
    private func write(_ queries: [LiveQueryFigures], withSQL: Bool, to text: inout PrometheusText) {
        guard !queries.isEmpty else { return }
        func family(
            _ name: String,
            _ kind: PrometheusText.Kind,
            _ help: String,
            _ value: (LiveQueryFigures) -> some CustomStringConvertible
        ) {
            let name = "tablecast_live_query_" + name
            text.begin(name, kind, help: help)
            for query in queries {
                text.sample(name, labels: PrometheusText.labels([("query", "\(query.id)")]), value(query))
            }
        }
        text.begin("tablecast_live_query_info", .gauge, help: "How it is kept up to date.")
        for query in queries {
            var labels = [("query", "\(query.id)"), ("plan", query.isIncremental ? "incremental" : "rerun")]
            if let reason = query.rerunReason { labels.append(("reason", Self.shortened(reason))) }
            if withSQL { labels.append(("sql", Self.shortened(query.sql))) }
            text.sample("tablecast_live_query_info", labels: PrometheusText.labels(labels), 1)
        }
        family("subscribers", .gauge, "Clients that follow it.") { $0.statistics.subscribers }
        family("steps_total", .counter, "Commits evaluated by their changed rows.") { $0.statistics.incrementalSteps }
        family("runs_total", .counter, "Runs as a whole.") { $0.statistics.runs }
        family("seconds_total", .counter, "Time of both.") {
            ($0.statistics.stepTime + $0.statistics.runTime) / .seconds(1)
        }
        family("changes_total", .counter, "Changes of its result.") { $0.statistics.deltas }
        family("resets_total", .counter, "Results sent again as a whole.") { $0.statistics.resets }
        family("lag_seconds", .gauge, "Since the first commit that its subscribers do not have.") {
            $0.lag / .seconds(1)
        }
    }

    private static let maxLabelLength = 200

    private static func shortened(_ text: String) -> String {
        text.count > maxLabelLength ? text.prefix(maxLabelLength) + "…" : text
    }
}

/// `GET /clients`, `DELETE /clients/{clientId}`.
struct ClientRoutes {
    let service: any MonitoredService

    func clients(for identity: Identity) -> Response {
        do throws(ProtocolError) {
            return .json(try service.clientList(for: identity))
        } catch {
            return .failure(error)
        }
    }

    func endClient(_ name: String, by identity: Identity) -> Response {
        do throws(ProtocolError) {
            try service.endClient(name, by: identity)
            return Response(status: .accepted)
        } catch {
            return .failure(error)
        }
    }
}
