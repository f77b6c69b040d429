import SQLiteConnection

/// Follows the statement that runs.
struct ProgressTracker {
    struct Estimate {
        var fraction: Double
        var rows: Int?
    }

    private(set) var message = "running"

    mutating func begin(_ counters: StatementCounters, sql: String, in control: QueryControl) {}
    mutating func end() {}
    mutating func tick() {}
    mutating func estimate(rowShare: Double?) -> Estimate? { nil }
}
