import SQLiteConnection

/// Fills in the VIRTUAL generated columns of decoded rows: no page holds their values; SQLite computes them when it
/// reads.
enum VirtualColumns {
    /// Replaces the NULLs of these columns, in the rows before and after the commit.
    ///
    /// All rows are in the table's columns after the commit, and are computed by that definition: a row *before* the
    /// commit reads as it would under the new schema. Columns that SQLite cannot compute, or not in time, stay NULL and
    /// are listed in ``TableRows/columnsOmitted``: their function or collation exists only in the writer's program, or
    /// fails for a value, or is so slow that it would delay the watcher.
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

    /// Whether the definition of an existing column changed. Then rows that no commit wrote read differently.
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
        // Handles one table after the other: loading another table costs more than a program.
        let old = kept.map { column in
            records.program(of: sources[column] ?? column, in: before.table, before.fields) {
                sources.firstIndex(of: $0)
            }
        }
        let new = kept.map { column in records.program(of: column, in: after.table, after.fields) { $0 } }
        return old != new
    }

    /// Computes one column, when not all can be computed; returns the error when this one cannot.
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

/// Limits the time that the VIRTUAL columns of a table may take in a commit, so that a slow expression never delays the
/// watcher for long: columns that took too long are omitted from the next commits without a try.
struct VirtualColumnPacing {
    private struct Pause {
        var until: ContinuousClock.Instant
        var columns: Set<Int>
    }

    /// The number of tables with a pause; a schema that changes constantly must not fill the memory.
    private static let maxPauses = 1_000

    private let limit: Duration
    private let pauseFactor: Int
    private var pauses: [TableDescription: Pause] = [:]

    /// - Parameters:
    ///   - limit: the time for the columns of one table in one commit.
    ///   - pauseFactor: how many times that duration the columns are then omitted.
    init(limit: Duration, pauseFactor: Int) {
        self.limit = limit
        self.pauseFactor = pauseFactor
    }

    /// The columns that are omitted without a try.
    func omitted(_ table: TableDescription, at now: ContinuousClock.Instant) -> Set<Int> {
        guard let pause = pauses[table], now < pause.until else { return [] }
        return pause.columns
    }

    /// The time for all columns together, and the time for a single one after they exceeded it.
    func allowance(forColumns count: Int) -> (together: Duration, each: Duration) {
        (limit / 2, limit / (2 * max(count, 1)))
    }

    /// Records that these columns took too long.
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
