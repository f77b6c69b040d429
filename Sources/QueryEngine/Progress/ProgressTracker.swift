import SQLiteConnection

/// Tracks the running statement, and requests a plan for it once it runs for a noticeable time.
///
/// Belongs to the thread that runs the query.
struct ProgressTracker {
    struct Estimate {
        var fraction: Double
        var total: Int?
    }

    /// A statement that ends before this is never planned.
    private static let patience = Duration.milliseconds(50)

    private let planner: Planner
    private let capture: CaptureWork
    private var counters: StatementCounters?
    private var sample = ProgressEstimator.Sample()
    private var plansAt: ContinuousClock.Instant?
    private var promise: Planner.Promise?
    private var estimator: ProgressEstimator?
    private var total: Int?

    init(_ planner: Planner, capture: CaptureWork) {
        self.planner = planner
        self.capture = capture
    }

    var message: String { estimator?.message ?? "running" }

    mutating func begin(_ counters: StatementCounters) {
        self.counters = counters
        sample = ProgressEstimator.Sample()
        plansAt = nil
        promise = nil
        estimator = nil
        total = nil
    }

    mutating func end() { counters = nil }

    /// Called after `ExecutionHandlers.steps` more steps of the virtual machine.
    mutating func tick(rows: Int, at now: ContinuousClock.Instant) {
        guard let counters else { return }
        sample.machineSteps += ExecutionHandlers.steps
        sample.scanSteps = counters(.fullScanSteps)
        sample.sorts = counters(.sorts)
        sample.rows = rows
        if estimator != nil {
            estimator?.follow(sample)
        } else if let plan = promise?.value {
            estimator = ProgressEstimator(plan, capture: capture)
            total = plan.estimatedTotal
        } else if promise == nil {
            if let plansAt {
                if now >= plansAt { promise = planner.plan(counters.sql) }
            } else {
                plansAt = now + Self.patience
            }
        }
    }

    /// - Parameter rowShare: the delivered share of the rows that the request allows: the statement ends there too.
    mutating func estimate(rowShare: Double?) -> Estimate? {
        let worked = estimator?.fraction(at: sample)
        guard let fraction = [worked, rowShare].compactMap({ $0 }).max(), worked != nil else { return nil }
        return Estimate(fraction: min(fraction, 0.99), total: total)
    }
}

/// The progress of a running query.
package struct QueryProgress: Sendable, Hashable {
    /// The estimated share of the time, from 0 to 0.99; nil when there is no reliable estimate. Never smaller than in
    /// the previous report.
    package var fraction: Double?
    /// A short description of the current work.
    package var message: String
    /// Rows delivered so far.
    package var rowCount: Int
    /// The time since submission.
    package var elapsed: Duration
    /// The number of rows that it will read, when known.
    package var estimatedTotal: Int?
}

/// The additional time for capturing the rows that a statement writes.
struct CaptureWork: Hashable, Sendable {
    /// The number of rows that are kept; the others are only counted, which is quicker.
    var keptRows = 0
    /// After the commit everything is read again from the write-ahead log.
    var readsLog = false
}
