/// Says how far a statement is from counters that only grow. A pure value: it reads no clock and no database.
struct ProgressEstimator: Sendable {
    /// Counters since the statement began.
    struct Sample: Hashable, Sendable {
        var scanSteps = 0
        var sorts = 0
        var machineSteps = 0
        var rows = 0
    }

    /// How much longer a row takes that a capture keeps.
    private static let captureFactor = 1.8
    /// The work of reading a commit from the log, of that of writing it.
    private static let logShare = 0.8
    /// The log has pages, which are read whole for one row.
    private static let rowsPerPage = 50.0

    private let capture: CaptureWork
    private var stages: [WorkPlan.Stage]
    private var current = 0
    private var began = Sample()
    private var last = Sample()
    /// The share of each stage's rows that its conditions let pass, as far as it is known.
    private var acceptances: [Double]
    /// The largest that was said.
    private var highest = 0.0

    init(_ plan: WorkPlan, capture: CaptureWork = CaptureWork()) {
        self.capture = capture
        stages = plan.stages
        acceptances = plan.stages.map { _ in 1 }
    }

    var message: String { stages[current].message }

    /// The share of the work that is done, below 1 and never less than before.
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

    /// Moves on to the stage that runs. To be called often enough that no stage begins and ends between two calls.
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
            // The machine runs and the scan does not: it is in the next loop, unless it searches long for each row.
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

    /// What share of the rows passes the conditions, by the steps that the machine takes for each.
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

    /// What keeping the rows of so many iterations adds, in iterations.
    private func captureWork(_ iterations: Double, of index: Int) -> Double {
        guard stages[index].writesRows, acceptances[index] > 0 else { return 0 }
        return (Self.captureFactor - 1) * min(iterations, Double(capture.keptRows) / acceptances[index])
    }

    /// What is left to do when the last stage is over.
    private func logWork(_ weights: [Double]) -> Double {
        guard capture.readsLog else { return 0 }
        return stages.indices.filter { stages[$0].writesRows }.reduce(0) { sum, index in
            sum + Self.logShare * weights[index] * min(acceptances[index] * Self.rowsPerPage, 1)
        }
    }

    /// The share of a stage's work in the share of its iterations.
    private func workShare(_ share: Double, of index: Int) -> Double {
        let total = iterations(of: index)
        let done = share * total
        return (done + captureWork(done, of: index)) / max(total + captureWork(total, of: index), 1)
    }

    /// A stage that takes what another one let pass runs as often as that did.
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
