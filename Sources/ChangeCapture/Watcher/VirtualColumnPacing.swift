/// Decides how long the VIRTUAL columns of a table may take in a commit, so that a slow expression never holds the watcher
/// up for long: columns that took too long are left out of the next commits without a try.
struct VirtualColumnPacing {
    private struct Pause {
        var until: ContinuousClock.Instant
        var columns: Set<Int>
    }

    /// Tables with a pause; a schema that changes forever does not fill the memory.
    private static let maxPauses = 1_000

    private let limit: Duration
    private let pauseFactor: Int
    private var pauses: [TableDescription: Pause] = [:]

    /// - Parameters:
    ///   - limit: for the columns of one table in one commit.
    ///   - pauseFactor: how many times as long as they took the columns are then left out.
    init(limit: Duration, pauseFactor: Int) {
        self.limit = limit
        self.pauseFactor = pauseFactor
    }

    /// The columns that are left out without a try.
    func omitted(_ table: TableDescription, at now: ContinuousClock.Instant) -> Set<Int> {
        guard let pause = pauses[table], now < pause.until else { return [] }
        return pause.columns
    }

    /// What all columns may take together, and what one may take by itself once they did not make it.
    func allowance(forColumns count: Int) -> (together: Duration, each: Duration) {
        (limit / 2, limit / (2 * max(count, 1)))
    }

    /// These columns took too long.
    mutating func pause(
        _ columns: Set<Int>,
        of table: TableDescription,
        after duration: Duration,
        at now: ContinuousClock.Instant
    ) {
        pauses = pauses.count < Self.maxPauses ? pauses : pauses.filter { now < $0.value.until }
        guard pauses.count < Self.maxPauses else { return }
        let earlier = omitted(table, at: now)
        pauses[table] = Pause(until: now + duration * pauseFactor, columns: columns.union(earlier))
    }
}
