import Logging
import QueryEngine
import Tracing

/// Logs, counts and traces one query. Used by one thread at a time, like the query's sink.
///
/// A class, because copying so many references with every event of a query would cost more than the events.
final class QueryObservation: Sendable {
    enum Outcome: String { case completed, failed, cancelled }

    /// The maximum length of a statement in a log line.
    private static let maxLoggedSQLBytes = 1_000

    private let query: String
    private let sql: String
    private let client: String
    private let logger: Logger
    private let metrics: ServiceMetrics
    private let slowThreshold: Duration?
    /// Nil without a tracer.
    private let span: (any Span)?
    private let start = ContinuousClock.now

    /// Call when the query is submitted.
    init(_ request: SQLRequest, client: String, logger: Logger, metrics: ServiceMetrics, slowThreshold: Duration?) {
        query = request.queryId
        sql = request.sql
        self.client = client
        self.logger = logger
        self.metrics = metrics
        self.slowThreshold = slowThreshold
        span = metrics.isTraced ? Self.makeSpan(request) : nil
        logger.trace("query submitted", metadata: metadata(sql: true))
    }

    private static func makeSpan(_ request: SQLRequest) -> any Span {
        let span = startSpan("tablecast.query", ofKind: .server)
        // The names of https://opentelemetry.io/docs/specs/semconv/database/
        span.attributes["db.system.name"] = "sqlite"
        span.attributes["db.query.text"] = request.sql
        span.attributes["tablecast.query.id"] = request.queryId
        return span
    }

    func started(readOnly: Bool) {
        span?.addEvent(SpanEvent(name: "started"))
        logger.trace("query started", metadata: metadata(["access": readOnly ? "read" : "write"]))
    }

    func completed(_ outcome: QueryOutcome) {
        end(.completed, rows: outcome.rowCount) {
            var figures: Logger.Metadata = ["rows": "\(outcome.rowCount)", "changes": "\(outcome.changes)"]
            if let position = outcome.receipt { figures["position"] = "\(position)" }
            return figures
        }
    }

    func failed(_ failure: QueryFailure) {
        span?.setStatus(SpanStatus(code: .error, message: failure.message))
        end(.failed, rows: 0) {
            var figures: Logger.Metadata = ["code": "\(failure.code.rawValue)", "error": "\(failure.message)"]
            if let position = failure.receipt { figures["position"] = "\(position)" }
            return figures
        }
    }

    func cancelled(_ cancellation: QueryCancellation) {
        let (reason, rows) = (cancellation.reason, cancellation.rowCount)
        span?.setStatus(SpanStatus(code: .error, message: "cancelled: \(reason)"))
        end(.cancelled, rows: rows) {
            var figures: Logger.Metadata = ["reason": "\(reason)", "rows": "\(rows)"]
            if let position = cancellation.receipt { figures["position"] = "\(position)" }
            return figures
        }
    }

    /// - Parameter figures: called only for a log line.
    private func end(_ outcome: Outcome, rows: Int, _ figures: () -> Logger.Metadata) {
        let duration = ContinuousClock.now - start
        span?.attributes["tablecast.query.outcome"] = outcome.rawValue
        span?.end()
        let isSlow = slowThreshold.map { duration >= $0 } ?? false
        metrics.queryEnded(outcome, after: duration, rows: rows, isSlow: isSlow)
        let level: Logger.Level = isSlow ? .notice : .debug
        guard logger.logLevel <= level else { return }
        var all = metadata(figures(), sql: true)
        all["ms"] = "\((duration / .microseconds(1)).rounded() / 1_000)"
        logger.log(level: level, "\(isSlow ? "slow query" : "query") \(outcome.rawValue)", metadata: all)
    }

    private func metadata(_ more: Logger.Metadata = [:], sql showsSQL: Bool = false) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["query": "\(query)", "client": "\(client)"]
        if showsSQL { metadata["sql"] = "\(shownSQL)" }
        return metadata.merging(more) { $1 }
    }

    private var shownSQL: String {
        guard sql.utf8.count > Self.maxLoggedSQLBytes else { return sql }
        return String(decoding: sql.utf8.prefix(Self.maxLoggedSQLBytes), as: UTF8.self) + "…"
    }
}
