import SQLiteConnection

/// Fills in the VIRTUAL generated columns of decoded rows: no page holds their values, SQLite computes them when it reads.
enum VirtualColumns {
    /// Replaces the NULLs that stand for these columns, in the rows before the commit and after it.
    ///
    /// The rows are all in the table's columns after the commit, and so are computed as it defines them then: a row *before*
    /// the commit is what it would be under the new schema. Columns that SQLite cannot compute, or not in time, stay NULL and
    /// are named in ``TableRows/columnsOmitted``: their function or collation exists only in the writer's program, or fails for
    /// a value, or takes so long that it would hold the watcher up.
    static func fill(
        _ rows: inout TableRows,
        _ layout: TableLayout,
        reading records: RecordReader,
        _ pacing: inout VirtualColumnPacing
    ) {
        let table = layout.table
        var omitted = pacing.omitted(table, at: .now)
        let columns = table.columns.indices.filter {
            table.columns[$0].visibility == .generatedVirtual && !omitted.contains($0)
        }
        defer { rows.columnsOmitted += omitted.sorted().map { table.columns[$0].name } }
        guard !columns.isEmpty else { return }
        var images: [(rowid: Int64, row: Row)] = []
        for change in rows.rows {
            for row in [change.before, change.after] {
                if let row { images.append((change.rowid ?? 0, row)) }
            }
        }
        let allowance = pacing.allowance(forColumns: columns.count)
        let start = ContinuousClock.now
        do throws(SQLiteError) {
            try records.withDeadline(allowance.together) { () throws(SQLiteError) in
                try records.compute(columns, of: table, layout.fields, in: &images)
            }
        } catch {
            var late: Set<Int> = []
            for column in columns {
                guard let failure = compute(column, layout, records, &images, within: allowance.each) else { continue }
                omitted.insert(column)
                if failure.code == .interrupt { late.insert(column) }
            }
            let now = ContinuousClock.now
            if !late.isEmpty { pacing.pause(late, of: table, after: start.duration(to: now), at: now) }
        }
        var next = 0
        for index in rows.rows.indices {
            for image in [\RowChange.before, \RowChange.after] where rows.rows[index][keyPath: image] != nil {
                rows.rows[index][keyPath: image] = images[next].row
                next += 1
            }
        }
    }

    /// Whether a column that was there before is computed otherwise now. Then rows that no commit wrote read differently.
    static func areRedefined(
        from before: TableLayout,
        to after: TableLayout,
        sources: [Int?]?,
        reading records: RecordReader
    ) -> Bool {
        let sources = sources ?? Array(before.columns.indices)
        let kept = after.columns.indices.filter { column in
            guard after.columns[column].source == .virtual, let source = sources[column] else { return false }
            return before.columns[source].source == .virtual
        }
        // All of one table first: to show another one costs more than a program.
        let old = kept.map { column in
            records.program(of: sources[column] ?? column, in: before.table, before.fields) {
                sources.firstIndex(of: $0)
            }
        }
        let new = kept.map { column in records.program(of: column, in: after.table, after.fields) { $0 } }
        return old != new
    }

    /// One column by itself, where not all can be computed; why it cannot, where it is this one.
    private static func compute(
        _ column: Int,
        _ layout: TableLayout,
        _ records: RecordReader,
        _ images: inout [(rowid: Int64, row: Row)],
        within limit: Duration
    ) -> SQLiteError? {
        var computed = images
        do throws(SQLiteError) {
            try records.withDeadline(limit) { () throws(SQLiteError) in
                try records.compute([column], of: layout.table, layout.fields, in: &computed)
            }
        } catch {
            return error
        }
        images = computed
        return nil
    }
}

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
