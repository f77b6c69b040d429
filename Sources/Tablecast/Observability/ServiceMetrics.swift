package import CoreMetrics
import Metrics
import Tracing

/// The instruments of a service. Thread-safe. A class, because every query copies the reference.
///
/// Every value goes to the service's own ``PrometheusRegistry``, which `GET /metrics` shows, and to the backend with
/// which the application bootstrapped swift-metrics.
package final class ServiceMetrics: Sendable {
    /// A metric as the documentation and `# HELP` describe it.
    package struct Definition: Sendable {
        package let label: String
        package let help: String
    }

    /// Every metric of the service. Names are those of swift-metrics; Prometheus appends `_total` to a counter's name.
    package static let definitions: [Definition] = [
        .init(label: "tablecast_connections_opened", help: "Clients that connected, by transport."),
        .init(label: "tablecast_connections_closed", help: "WebSockets that ended, by close code."),
        .init(label: "tablecast_connections_refused", help: "Handshakes that were refused, by HTTP status."),
        .init(label: "tablecast_messages_received", help: "Messages that clients sent."),
        .init(label: "tablecast_queries", help: "Queries that ended, by outcome: completed, failed, cancelled."),
        .init(label: "tablecast_query_duration_seconds", help: "Time from the submission of a query to its end."),
        .init(label: "tablecast_query_rows", help: "Rows that queries returned."),
        .init(label: "tablecast_slow_queries", help: "Queries that took longer than the threshold."),
        .init(label: "tablecast_queries_active", help: "Queries that are waiting or running."),
        .init(label: "tablecast_commits", help: "Transactions published, by origin: service, external."),
        .init(label: "tablecast_row_changes", help: "Row changes in published transactions."),
        .init(
            label: "tablecast_decode_duration_seconds",
            help: "Time to find the row changes in the pages of a commit."
        ),
        .init(
            label: "tablecast_publish_duration_seconds",
            help: "Time to encode a transaction and pass it to connections."
        ),
        .init(label: "tablecast_epochs", help: "New epochs, by reason."),
        .init(label: "tablecast_internal_errors", help: "Errors that should not happen."),
        .init(label: "tablecast_clients", help: "Connected clients."),
        .init(label: "tablecast_history_transactions", help: "Transactions kept for clients that resume."),
        .init(label: "tablecast_history_bytes", help: "Memory of the kept transactions."),
        .init(label: "tablecast_watcher_heartbeat_age_seconds", help: "Time since the watcher last made progress."),
        .init(label: "tablecast_watcher_commits_behind", help: "Commits of the service that are not published yet."),
        .init(label: "tablecast_database_bytes", help: "Size of the database file."),
        .init(label: "tablecast_log_bytes", help: "Size of the write-ahead log."),
        .init(label: "tablecast_state_bytes", help: "Size of the state directory."),
        .init(label: "tablecast_state_age_seconds", help: "Age of the oldest file in the state directory."),
        .init(label: "tablecast_state_sync_seconds", help: "Time that the last sync of the state took."),
        .init(
            label: "tablecast_state_segments_removed",
            help: "Files of the state that were removed because of a limit, since the start."
        ),
        .init(label: "tablecast_live_queries", help: "Distinct live queries."),
        .init(label: "tablecast_live_subscribers", help: "Subscriptions to live queries."),
        .init(label: "tablecast_live_pending_transactions", help: "Commits that live queries have not evaluated."),
        .init(label: "tablecast_relay_connections", help: "Connections of a relay to its source."),
        .init(
            label: "tablecast_relay_gaps",
            help: "Times that a relay missed transactions and its clients began again."
        ),
        .init(label: "tablecast_relay_connected", help: "1 while a relay is connected to its source, otherwise 0."),
        .init(label: "tablecast_nats_connected", help: "1 while the server publishes to its NATS stream, otherwise 0."),
        .init(label: "tablecast_nats_messages", help: "Messages sent to the NATS stream."),
        .init(
            label: "tablecast_nats_unstored_transactions",
            help: "Transactions that the NATS broker has not acknowledged."
        ),
        .init(label: "tablecast_uptime_seconds", help: "Time since the service began to watch."),
    ]

    package let registry: PrometheusRegistry
    /// Whether the application had a tracer when the service was created: describing a span costs as much as reading a row.
    let isTraced = !(InstrumentationSystem.tracer is NoOpTracer)
    private let factory: any MetricsFactory
    private let completed: Counter
    private let failed: Counter
    private let cancelled: Counter
    private let queryDuration: Metrics.Timer
    private let queryRows: Counter
    private let slowQueries: Counter
    private let decodeDuration: Metrics.Timer
    private let publishDuration: Metrics.Timer
    private let serviceCommits: Counter
    private let externalCommits: Counter
    private let rowChanges: Counter
    private let messagesReceived: Counter
    private let internalErrors: Counter

    /// - Parameter backend: the application's backend; by default the one with which it bootstrapped `MetricsSystem`.
    package init(backend: any MetricsFactory = MetricsSystem.factory) {
        let help = Self.definitions.map { ($0.label, $0.help) }
        registry = PrometheusRegistry(help: Dictionary(uniqueKeysWithValues: help))
        let factory: any MetricsFactory =
            backend is NOOPMetricsHandler ? registry : MultiplexMetricsHandler(factories: [registry, backend])
        self.factory = factory
        func counter(_ label: String, _ dimensions: [(String, String)] = []) -> Counter {
            Counter(label: label, dimensions: dimensions, factory: factory)
        }
        completed = counter("tablecast_queries", [("outcome", "completed")])
        failed = counter("tablecast_queries", [("outcome", "failed")])
        cancelled = counter("tablecast_queries", [("outcome", "cancelled")])
        queryDuration = Metrics.Timer(label: "tablecast_query_duration", dimensions: [], factory: factory)
        queryRows = counter("tablecast_query_rows")
        slowQueries = counter("tablecast_slow_queries")
        decodeDuration = Metrics.Timer(label: "tablecast_decode_duration", dimensions: [], factory: factory)
        publishDuration = Metrics.Timer(label: "tablecast_publish_duration", dimensions: [], factory: factory)
        serviceCommits = counter("tablecast_commits", [("origin", "service")])
        externalCommits = counter("tablecast_commits", [("origin", "external")])
        rowChanges = counter("tablecast_row_changes")
        messagesReceived = counter("tablecast_messages_received")
        internalErrors = counter("tablecast_internal_errors")
    }

    // MARK: Events

    package enum Transport: String { case webSocket = "websocket", eventStream = "event_stream" }

    package func connectionOpened(_ transport: Transport) {
        increment("tablecast_connections_opened", "transport", transport.rawValue)
    }

    /// - Parameter code: the code of the close frame; 1005 for one without, 1006 for a connection that broke.
    func connectionClosed(code: UInt16) { increment("tablecast_connections_closed", "code", String(code)) }

    /// - Parameter status: the HTTP status; 0 when the connection was closed without a response.
    func connectionRefused(status: Int) { increment("tablecast_connections_refused", "status", String(status)) }

    func messageReceived() { messagesReceived.increment() }

    func internalErrorOccurred() { internalErrors.increment() }

    package func relayConnected() {
        Counter(label: "tablecast_relay_connections", dimensions: [], factory: factory).increment()
    }

    package func relayMissedTransactions() {
        Counter(label: "tablecast_relay_gaps", dimensions: [], factory: factory).increment()
    }

    package func natsPublished(messages count: Int) {
        if count > 0 {
            Counter(label: "tablecast_nats_messages", dimensions: [], factory: factory).increment(by: count)
        }
    }

    package func epochBegan(reason: String) { increment("tablecast_epochs", "reason", reason) }

    func queryEnded(_ outcome: QueryObservation.Outcome, after duration: Duration, rows: Int, isSlow: Bool) {
        switch outcome {
        case .completed: completed.increment()
        case .failed: failed.increment()
        case .cancelled: cancelled.increment()
        }
        queryDuration.record(duration: duration)
        queryRows.increment(by: rows)
        if isSlow { slowQueries.increment() }
    }

    func decoded(in duration: Duration) { decodeDuration.record(duration: duration) }

    package func published(byService: Bool, rowChanges count: Int, in duration: Duration) {
        (byService ? serviceCommits : externalCommits).increment()
        rowChanges.increment(by: count)
        publishDuration.record(duration: duration)
    }

    private func increment(_ label: String, _ dimension: String, _ value: String) {
        Counter(label: label, dimensions: [(dimension, value)], factory: factory).increment()
    }

    // MARK: Gauges

    /// Sets a gauge.
    package func set(_ label: String, to value: Double) {
        Gauge(label: label, dimensions: [], factory: factory).record(value)
    }
}
