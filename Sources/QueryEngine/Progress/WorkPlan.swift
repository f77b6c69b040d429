import SQLiteConnection
import Synchronization

/// The stages of a statement and the approximate time of each, computed from its program and the sizes of its tables.
/// Nil when no reliable plan is possible.
struct WorkPlan: Hashable, Sendable {
    struct Stage: Hashable, Sendable {
        enum Measure: Hashable, Sendable {
            /// `SQLITE_STMTSTATUS_FULLSCAN_STEP`.
            case scanSteps
            /// Steps of the virtual machine.
            case machineSteps
        }

        var measure: Measure
        /// The expected number of iterations.
        var iterations: Double
        /// The stage whose rows it consumes; the number of rows is known better after that stage.
        var feeder: Int?
        /// Machine steps of an iteration, and the additional steps when it delivers a row.
        var steps: Double
        var stepsPerRow: Double
        /// Machine steps of an iteration whose row a condition rejects; nil when none is rejected.
        var refusedSteps: Double?
        /// Relative cost of an iteration, and of one whose row is rejected.
        var cost: Double
        var refusedCost: Double
        var message: String
        /// Each iteration writes a row of a table, which a capture may have to keep.
        var writesRows = false
    }

    var stages: [Stage]
    /// Entries of the scanned tables; nil when it is not one plain scan.
    var estimatedTotal: Int?
}

extension WorkPlan {
    /// - Parameter entries: the number of entries of the b-tree with a root page, and its name.
    init?(_ program: Program, entries: @escaping (_ root: Int) -> (count: Double, name: String)?) {
        guard !program.scansInTriggers else { return nil }
        var builder = Builder(program: program, entries: entries)
        guard builder.build(), !builder.stages.isEmpty else { return nil }
        stages = builder.stages.map { $0.stage }
        let scans = stages.filter { $0.measure == .scanSteps }
        estimatedTotal = scans.count == 1 ? Int(scans[0].iterations) : nil
    }

    private struct Builder {
        let program: Program
        let entries: (Int) -> (count: Double, name: String)?
        var stages: [(loop: ProgramLoop, stage: Stage)] = []

        mutating func build() -> Bool {
            for loop in program.loops where isTopLevel(loop) {
                // Code that runs once within a loop does so before that loop makes progress.
                for once in program.loops where loop.contains(once) && program.isOnce(once) {
                    guard add(once) else { return false }
                }
                guard add(loop) else { return false }
            }
            return true
        }

        private func isTopLevel(_ loop: ProgramLoop) -> Bool { !program.loops.contains { $0.contains(loop) } }

        private mutating func add(_ loop: ProgramLoop) -> Bool {
            switch loop.kind {
            case .unknown:
                return false
            case .consumer:
                return !program.loops.contains { loop.contains($0) && $0.kind != .unknown }
            case .scan(let root):
                // The loop may stop anywhere.
                guard !program.hasLimit(loop), let (count, name) = entries(root), let total = scanSteps(of: loop) else {
                    return false
                }
                var stage = self.stage(loop, iterations: total, message: "scanning \(name)")
                stage.measure = .scanSteps
                // Inner loops belong to it: their share of the cost grows with the steps as well.
                stage.cost *= count / max(total, 1)
                stage.refusedCost *= count / max(total, 1)
                stages.append((loop, stage))
                return true
            case .uncountedScan(let root):
                guard !program.hasLimit(loop), let (count, name) = entries(root) else { return false }
                stages.append((loop, stage(loop, iterations: count, message: "reading \(name)")))
                return true
            case .drain(let cursor):
                guard let feeder = stages.lastIndex(where: { feeds($0.loop, cursor) }) ?? consumerFeeder(cursor) else {
                    return false
                }
                var stage = self.stage(
                    loop,
                    iterations: stages[feeder].stage.iterations,
                    message: drainMessage(loop, cursor)
                )
                stage.feeder = feeder
                if program.hasLimit(loop) {
                    stage.cost = 0
                    stage.iterations = 0
                    stage.feeder = nil
                }
                stages.append((loop, stage))
                return true
            }
        }

        private func feeds(_ loop: ProgramLoop, _ cursor: Int) -> Bool {
            program.instructions[loop.start...loop.end].contains {
                $0.p1 == cursor && Self.insertions.contains($0.opcode)
            }
        }

        /// The consumer of a coroutine fills the sorter with the rows that the last stage yields.
        private func consumerFeeder(_ cursor: Int) -> Int? {
            program.loops.contains { $0.kind == .consumer && feeds($0, cursor) } ? stages.indices.last : nil
        }

        private static let insertions: Set<String> = ["SorterInsert", "IdxInsert", "Insert", "RowSetAdd"]

        private func drainMessage(_ loop: ProgramLoop, _ cursor: Int) -> String {
            let body = program.instructions[loop.start...loop.end]
            func has(_ opcode: String) -> Bool { body.contains { $0.opcode == opcode && $0.p1 != cursor } }
            if has("Insert") || has("Delete") { return "writing rows" }
            if has("IdxInsert") { return "building an index" }
            return "sorting"
        }

        /// The steps of the scan and of all scans within it; nil when a condition decides how often those run.
        private func scanSteps(of loop: ProgramLoop) -> Double? {
            guard case .scan(let root) = loop.kind, let (count, _) = entries(root) else { return nil }
            var inner = 0.0
            for child in program.loops where isChild(child, of: loop) && !program.isOnce(child) {
                switch child.kind {
                case .scan:
                    let mayBeSkipped = program.instructions[loop.start..<child.start].contains {
                        $0.isRowCondition && $0.p2 > child.end && $0.p2 <= loop.end
                    }
                    guard !mayBeSkipped, !program.hasLimit(child), let steps = scanSteps(of: child) else { return nil }
                    inner += steps
                case .unknown, .consumer, .drain, .uncountedScan:
                    // For example a search in an index: it takes time for each row, but counts no steps, unless it
                    // scans inside.
                    if program.loops.contains(where: { child.contains($0) && isScan($0) }) { return nil }
                }
            }
            return count * (1 + inner)
        }

        private func isScan(_ loop: ProgramLoop) -> Bool { if case .scan = loop.kind { true } else { false } }

        private func isChild(_ loop: ProgramLoop, of parent: ProgramLoop) -> Bool {
            parent.contains(loop) && !program.loops.contains { parent.contains($0) && $0.contains(loop) }
        }

        private func stage(_ loop: ProgramLoop, iterations: Double, message: String) -> Stage {
            let path = path(of: loop)
            return Stage(
                measure: .machineSteps,
                iterations: iterations,
                feeder: nil,
                steps: Double(path.steps),
                stepsPerRow: Double(path.stepsPerRow),
                refusedSteps: path.refusedSteps.map { Double($0) },
                cost: path.cost,
                refusedCost: path.refusedCost,
                message: message,
                writesRows: program.writesRows(loop)
            )
        }

        /// Follows one iteration whose row passes every condition and begins no new group.
        private func path(of loop: ProgramLoop) -> (
            steps: Int, stepsPerRow: Int, refusedSteps: Int?, cost: Double, refusedCost: Double
        ) {
            var address = loop.start
            var steps = 0
            var stepsPerRow = 0
            var refusedSteps: Int?
            var cost = 0.0
            var refusedCost = 0.0
            while address <= loop.end {
                let instruction = program.instructions[address]
                steps += 1
                cost += instruction.cost
                if instruction.isRowCondition, instruction.p2 == loop.end, refusedSteps == nil {
                    refusedSteps = steps + 1
                    refusedCost = cost + program.instructions[loop.end].cost
                }
                // The test for a new group, and the flag that a group has begun.
                if ["Jump", "If"].contains(instruction.opcode), instruction.p2 > address, instruction.p2 <= loop.end {
                    for skipped in program.instructions[address + 1..<instruction.p2] {
                        stepsPerRow += 1 + (skipped.opcode == "Gosub" ? subroutineLength(at: skipped.p2) : 0)
                    }
                    address = instruction.p2
                } else {
                    address += 1
                }
            }
            return (steps, stepsPerRow, refusedSteps, cost, refusedCost)
        }

        private func subroutineLength(at start: Int) -> Int {
            guard program.instructions.indices.contains(start) else { return 0 }
            return program.instructions[start...].prefix { $0.opcode != "Return" }.count + 1
        }
    }
}

/// Makes work plans for statements that run long, on its own thread and connection: short statements have no cost, and
/// no SQL may run within a progress handler.
final class Planner: Sendable {
    /// Holds a plan once it is ready.
    final class Promise: Sendable {
        private let plan = Mutex<WorkPlan?>(nil)
        var value: WorkPlan? { plan.withLock { $0 } }
        fileprivate func fulfil(_ plan: WorkPlan?) { self.plan.withLock { $0 = plan } }
    }

    /// The time limit of a plan; what is not known by then stays unknown.
    private static let budget = Duration.milliseconds(150)
    /// Statements that wait for a plan; beyond this a statement gets none.
    private static let maxWaiting = 64

    private let configuration: ServiceConfiguration
    private let executor: SQLExecutor<Void>

    init(_ configuration: ServiceConfiguration) throws(SQLiteError) {
        self.configuration = configuration
        executor = try SQLExecutor(name: "query-planner", startsWhenNeeded: true) {}
    }

    func plan(_ sql: String) -> Promise {
        let promise = Promise()
        if executor.waitingCount < Self.maxWaiting {
            // A separate connection for each plan: it sees the newest schema, and holds nothing in between. Without a plan
            // the progress has no estimate.
            executor.submit { [self] in promise.fulfil(try? makePlan(sql)) }
        }
        return promise
    }

    func stop() { executor.stop() }

    private func makePlan(_ sql: String) throws(SQLiteError) -> WorkPlan? {
        let evaluation = configuration.limits.evaluation
        let connection = try evaluation.openReader(path: configuration.path, isURI: configuration.isURI)
        // With a hook DELETE without WHERE is a scan, as the writer's authorizer makes it.
        connection.setPreUpdateHook { _ in }
        return try connection.withDeadline(Self.budget) { () throws(SQLiteError) in
            let estimator = RowEstimator(connection: connection)
            var known: [Int: (count: Double, name: String)?] = [:]
            return WorkPlan(try Self.program(sql, on: connection)) { root in
                if let known = known[root] { return known }
                let entries = try? estimator.entries(root: root)
                known[root] = .some(entries)
                return entries
            }
        }
    }

    static func program(_ sql: String, on connection: Connection) throws(SQLiteError) -> Program {
        var listing: [Instruction] = []
        var statement = try connection.prepare("EXPLAIN \(sql)")
        while try statement.step() {
            listing.append(
                Instruction(
                    address: Int(statement.integer(0)),
                    opcode: statement.text(1) ?? "",
                    p1: Int(statement.integer(2)),
                    p2: Int(statement.integer(3)),
                    p3: Int(statement.integer(4)),
                    p5: Int(statement.integer(6))
                )
            )
        }
        return Program(listing)
    }
}
