import SQLiteConnection

/// Follows the statement that runs, and asks for a plan of it once it takes long enough for somebody to wonder.
///
/// Belongs to the thread that runs the query.
struct ProgressTracker {
    struct Estimate {
        var fraction: Double
        var total: Int?
    }

    /// A statement that is done by then is never planned.
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

    /// `ExecutionHandlers.steps` more steps of the virtual machine were made.
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

    /// - Parameter rowShare: of the rows that the request wants at most, how many it has: it ends there too.
    mutating func estimate(rowShare: Double?) -> Estimate? {
        let worked = estimator?.fraction(at: sample)
        guard let fraction = [worked, rowShare].compactMap({ $0 }).max(), worked != nil else { return nil }
        return Estimate(fraction: min(fraction, 0.99), total: total)
    }
}

/// How far a running query is.
package struct QueryProgress: Sendable, Hashable {
    /// The estimated share of the time, from 0 to 0.99; nil where there is no honest estimate. Never smaller than in the
    /// report before.
    package var fraction: Double?
    /// What it does, in a few words.
    package var message: String
    /// Rows delivered so far.
    package var rowCount: Int
    /// Since submission.
    package var elapsed: Duration
    /// How many rows it will read, where that is known.
    package var estimatedTotal: Int?
}

/// What capturing the rows that a statement writes adds to the time until its query is over.
struct CaptureWork: Hashable, Sendable {
    /// How many of the rows are kept; the rest is counted, which is quicker.
    var keptRows = 0
    /// Once committed, everything is read again from the write-ahead log.
    var readsLog = false
}
