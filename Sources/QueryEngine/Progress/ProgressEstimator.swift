import SQLiteConnection

/// Estimates the progress of a statement from monotonic counters. A pure value: it reads neither a clock nor a
/// database.
struct ProgressEstimator: Sendable {
    /// The counters since the statement began.
    struct Sample: Hashable, Sendable {
        var scanSteps = 0
        var sorts = 0
        var machineSteps = 0
        var rows = 0
    }

    /// The factor by which a row takes longer when a capture keeps it.
    private static let captureFactor = 1.8
    /// The work of reading a commit from the log, relative to writing it.
    private static let logShare = 0.8
    /// Rows per page of the log, which is read whole for a single row.
    private static let rowsPerPage = 50.0

    private let capture: CaptureWork
    private var stages: [WorkPlan.Stage]
    private var current = 0
    private var began = Sample()
    private var last = Sample()
    /// The share of each stage's rows that pass its conditions, as far as it is known.
    private var acceptances: [Double]
    /// The largest fraction reported so far.
    private var highest = 0.0

    init(_ plan: WorkPlan, capture: CaptureWork = CaptureWork()) {
        self.capture = capture
        stages = plan.stages
        acceptances = plan.stages.map { _ in 1 }
    }

    var message: String { stages[current].message }

    /// The completed share of the work, below 1 and never less than before.
    mutating func fraction(at sample: Sample) -> Double {
        follow(sample)
        learn(at: sample)
        let weights = stages.indices.map { weight($0) }
        let total = weights.reduce(0, +) + logWork(weights)
        guard total > 0 else { return highest }
        let done = weights[..<current].reduce(0, +) + weights[current] * workShare(share(at: sample), of: current)
        highest = max(highest, min(done / total, 0.99))
        return highest
    }

    /// Advances to the stage that currently runs. Call it often enough that no stage begins and ends between two calls.
    mutating func follow(_ sample: Sample) {
        while current < stages.count - 1, isOver(sample) { advance(to: sample) }
        last = sample
    }

    private func isOver(_ sample: Sample) -> Bool {
        let stage = stages[current]
        let next = stages[current + 1]
        switch stage.measure {
        case .scanSteps:
            if sample.sorts > last.sorts { return true }
            // The machine runs and the scan does not advance: the next loop has begun, unless the search for each row
            // is long.
            return sample.scanSteps == last.scanSteps && sample.scanSteps > began.scanSteps
                && sample.machineSteps > last.machineSteps && share(at: sample) > 0.5
                && next.measure == .machineSteps
        case .machineSteps:
            if next.measure == .scanSteps { return sample.scanSteps > last.scanSteps }
            return sample.sorts > last.sorts || share(at: sample) >= 1
        }
    }

    private mutating func advance(to sample: Sample) {
        learn(at: sample)
        if stages[current].measure == .scanSteps {
            stages[current].iterations = max(Double(sample.scanSteps - began.scanSteps), 1)
        }
        current += 1
        began = sample
        // Counted once: the same sort must not end the next stage too.
        last.sorts = sample.sorts
    }

    /// Estimates the share of the rows that pass the conditions, from the machine steps per row.
    private mutating func learn(at sample: Sample) {
        let stage = stages[current]
        let iterations = Double(sample.scanSteps - began.scanSteps)
        guard stage.measure == .scanSteps, let refused = stage.refusedSteps, stage.steps > refused, iterations > 0
        else {
            return
        }
        let taken = Double(sample.machineSteps - began.machineSteps) / iterations
        acceptances[current] = min(max((taken - refused) / (stage.steps - refused), 0), 1)
    }

    private func weight(_ index: Int) -> Double {
        let stage = stages[index]
        let share = stage.refusedSteps == nil ? 1 : acceptances[index]
        let iterations = iterations(of: index)
        let cost = stage.refusedCost * (1 - share) + stage.cost * share
        return (iterations + captureWork(iterations, of: index)) * cost
    }

    /// The additional work of keeping the rows of these iterations, in iterations.
    private func captureWork(_ iterations: Double, of index: Int) -> Double {
        guard stages[index].writesRows, acceptances[index] > 0 else { return 0 }
        return (Self.captureFactor - 1) * min(iterations, Double(capture.keptRows) / acceptances[index])
    }

    /// The remaining work after the last stage.
    private func logWork(_ weights: [Double]) -> Double {
        guard capture.readsLog else { return 0 }
        return stages.indices.filter { stages[$0].writesRows }.reduce(0) { sum, index in
            sum + Self.logShare * weights[index] * min(acceptances[index] * Self.rowsPerPage, 1)
        }
    }

    /// Converts the share of a stage's iterations into its share of the work.
    private func workShare(_ share: Double, of index: Int) -> Double {
        let total = iterations(of: index)
        let done = share * total
        return (done + captureWork(done, of: index)) / max(total + captureWork(total, of: index), 1)
    }

    /// A stage that consumes the rows of another one runs as often as that one passed a row.
    private func iterations(of index: Int) -> Double {
        guard let feeder = stages[index].feeder else { return stages[index].iterations }
        return max(iterations(of: feeder) * acceptances[feeder], 1)
    }

    private func share(at sample: Sample) -> Double {
        let stage = stages[current]
        let iterations = iterations(of: current)
        guard iterations > 0 else { return 1 }
        switch stage.measure {
        case .scanSteps:
            return min(Double(sample.scanSteps - began.scanSteps) / iterations, 1)
        case .machineSteps:
            let steps = Double(sample.machineSteps - began.machineSteps)
            let forRows = Double(sample.rows - began.rows) * stage.stepsPerRow
            return min(max(steps - forRows, 0) / (iterations * max(stage.steps, 1)), 1)
        }
    }
}

/// Estimates the number of rows of a table without reading it.
///
/// A table with rowids is probed at positions spread evenly over its range of rowids: the distance between a hundred
/// neighbours gives the density there. Where the density varies too much for a reliable answer, and for tables without
/// rowids, `sqlite_stat1` is used; without it there is no estimate.
struct RowEstimator {
    let connection: Connection

    private static let probes = 32
    private static let neighbours = 100
    /// The largest relative standard error of an accepted estimate.
    private static let maxError = 0.05

    /// The number of entries of the b-tree with this root page, and the name of its table.
    func entries(root: Int) throws(SQLiteError) -> (count: Double, name: String)? {
        let found = try connection.query(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE rootpage = ?",
            [.integer(Int64(root))]
        )
        if root == 1 { return nil }
        guard let row = found.first, case .text(let type) = row[0], case .text(let name) = row[1],
            case .text(let table) = row[2]
        else { return nil }
        let isIndex = type == "index"
        if isIndex, case .text(let sql) = row[3], try isPartial(name) || sql.isEmpty {
            return try statistics(table, index: name).map { ($0, table) }
        }
        if let count = try sample(table) { return (count, table) }
        return try statistics(table, index: nil).map { ($0, table) }
    }

    private func isPartial(_ index: String) throws(SQLiteError) -> Bool {
        try connection.query(
            "SELECT 1 FROM sqlite_schema s, pragma_index_list(s.tbl_name) l WHERE s.name = ?1 AND l.name = ?1 AND l.partial",
            [.text(index)]
        ).isEmpty == false
    }

    private func statistics(_ table: String, index: String?) throws(SQLiteError) -> Double? {
        guard try !connection.query("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").isEmpty else {
            return nil
        }
        let found = try connection.query(
            "SELECT stat FROM sqlite_stat1 WHERE tbl = ? AND (?2 IS NULL OR idx = ?2)",
            [.text(table), index.map { .text($0) } ?? .null]
        )
        guard case .text(let text)? = found.first?.first else { return nil }
        return text.split(separator: " ").first.flatMap { Double($0) }
    }

    private func sample(_ table: String) throws(SQLiteError) -> Double? {
        let name = table.quotedAsIdentifier
        let range: [[SQLiteValue]]
        do {
            range = try connection.query("SELECT (SELECT min(rowid) FROM \(name)), (SELECT max(rowid) FROM \(name))")
        } catch  where error.code.primary == .error {
            // WITHOUT ROWID.
            return nil
        }
        guard case .integer(let low)? = range.first?[0], case .integer(let high)? = range.first?[1] else { return 0 }
        let width = Double(high) - Double(low) + 1
        if width <= Double(Self.probes * Self.neighbours) {
            return try connection.query("SELECT count(*) FROM \(name)").first.flatMap { integer($0[0]) }.map {
                Double($0)
            }
        }
        var probe = try connection.prepare(
            "SELECT rowid FROM \(name) WHERE rowid >= ? ORDER BY rowid LIMIT 1 OFFSET \(Self.neighbours - 1)"
        )
        var densities: [Double] = []
        for index in 0..<Self.probes {
            let start = Double(low) + width * (Double(index) + 0.25) / Double(Self.probes)
            probe.reset()
            try probe.bind(.integer(Int64(exactly: start.rounded()) ?? high), at: 1)
            // Too near the end for that many neighbours.
            guard try probe.step() else { continue }
            densities.append(Double(Self.neighbours) / (Double(probe.integer(0)) - start.rounded() + 1))
        }
        guard densities.count > Self.probes / 2 else { return nil }
        let mean = densities.reduce(0, +) / Double(densities.count)
        let variance = densities.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(densities.count - 1)
        guard (variance / Double(densities.count)).squareRoot() <= mean * Self.maxError else { return nil }
        return width * mean
    }

    private func integer(_ value: SQLiteValue) -> Int64? { if case .integer(let value) = value { value } else { nil } }
}
