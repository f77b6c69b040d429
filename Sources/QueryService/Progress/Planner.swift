import SQLiteConnection
import Synchronization

/// Makes work plans for statements that turn out to take long, on a thread and a connection of its own: short statements
/// pay nothing, and within a progress handler no SQL may run.
final class Planner: Sendable {
    /// Where a plan appears when it is ready.
    final class Promise: Sendable {
        private let plan = Mutex<WorkPlan?>(nil)
        var value: WorkPlan? { plan.withLock { $0 } }
        fileprivate func fulfil(_ plan: WorkPlan?) { self.plan.withLock { $0 = plan } }
    }

    /// How long a plan may take; what is not known by then stays unknown.
    private static let budget = Duration.milliseconds(150)
    /// Statements that wait for a plan; the oldest gives way.
    private static let maxWaiting = 64

    private struct State {
        var waiting: [(sql: String, promise: Promise)] = []
        var isStopped = false
    }

    private let configuration: ServiceConfiguration
    private let state = Mutex(State())
    private let parker = Parker()

    init(_ configuration: ServiceConfiguration) { self.configuration = configuration }

    func plan(_ sql: String) -> Promise {
        let promise = Promise()
        state.withLock { state in
            if state.waiting.count >= Self.maxWaiting { state.waiting.removeFirst() }
            state.waiting.append((sql, promise))
        }
        parker.wake()
        return promise
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        parker.wake()
    }

    /// The body of its thread.
    func run() {
        while true {
            let (next, isStopped) = state.withLock { state in
                (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.isStopped)
            }
            if isStopped { return }
            guard let next else {
                parker.sleep()
                continue
            }
            // A connection of its own for each plan: it sees the newest schema, and holds nothing in between.
            next.promise.fulfil(try? makePlan(next.sql))
        }
    }

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
