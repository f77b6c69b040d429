import ChangeCapture
import Foundation
package import LiveQueries
import RandomSupport
import SQLiteConnection
import Synchronization

/// Compares replicas that are updated only by deltas with the queries themselves, as of every position.
package final class LiveOracle: Sendable {
    package struct Options: Sendable {
        /// Whether to wait after each transaction until it is evaluated, so that each one is checked separately.
        package var isPaced = true
        package var faults: LiveQueryFaults = []
        /// Also ends subscriptions and begins them again, with or without their position.
        package var resumes = true
        package var journalMode = "WAL"

        package init() {}
    }

    package struct Failure: Error, CustomStringConvertible {
        package var query: OracleQuery
        package var reason: String
        package var description: String { "\(query)\n  \(reason)" }
    }

    /// How much was checked.
    package struct Figures: Sendable {
        package var checks = 0
        package var checksByKind: [OracleQuery.Kind: Int] = [:]
        package var commits = 0
        package var incremental = 0
        package var reruns = 0
        package var resumed = 0
        package var statistics = LiveQueryStatistics()

        package init() {}

        package static func += (left: inout Figures, right: Figures) {
            left.checks += right.checks
            left.checksByKind.merge(right.checksByKind) { $0 + $1 }
            left.commits += right.commits
            left.incremental += right.incremental
            left.reruns += right.reruns
            left.resumed += right.resumed
            left.statistics.incrementalSteps += right.statistics.incrementalSteps
            left.statistics.skippedSteps += right.statistics.skippedSteps
            left.statistics.runs += right.statistics.runs
            left.statistics.sparedRuns += right.statistics.sparedRuns
            left.statistics.deltas += right.statistics.deltas
            left.statistics.snapshots += right.statistics.snapshots
            left.statistics.resets += right.statistics.resets
        }
    }

    /// One subscription's replica.
    fileprivate struct Follower {
        var query: OracleQuery
        var replica: LiveReplica?
        var id: LiveQueryID?
        var key: [Int]?
        var hasJoined = false
        /// Where the replica is.
        var position: LivePosition?
        var isIncremental: Bool?
        /// Why it is not.
        var rerunReason: String?
        var ended: LiveRefusal?
    }

    /// A replica to compare with the truth as of a position that is not known yet.
    fileprivate struct Check {
        var query: OracleQuery
        var sequence: UInt64
        var rows: [Row]
        var event: String
    }

    fileprivate struct State {
        var followers: [LiveSubscriberID: Follower] = [:]
        var checks: [Check] = []
        var failure: Failure?
        var reached: LivePosition?
        var lagging: Set<LiveQueryID> = []
        /// The number in the ledger by the sequence number.
        var commitOf: [UInt64: Int] = [0: 0]
        var sequence: UInt64 = 0
        var lastCommit = 0
    }

    fileprivate final class Relay: DatabaseEventSink, LiveQuerySink {
        let state = Monitor(State())
        let engine = Mutex<LiveQueryEngine?>(nil)

        func receive(_ event: DatabaseEvent) {
            let engine = engine.withLock { $0 }
            switch event {
            case .transaction(let transaction):
                if transaction.changes.isEmpty { return }
                var commit: Int?
                for case .rows(let rows) in transaction.changes.events where rows.table.name == "ledger" {
                    for change in rows.rows { commit = change.rowid.map { Int($0) } }
                }
                let sequence = state.update { state in
                    state.sequence += 1
                    state.lastCommit = commit ?? state.lastCommit
                    state.commitOf[state.sequence] = state.lastCommit
                    return state.sequence
                }
                engine?.receive(transaction, at: LivePosition(epoch: "e", sequence: sequence))
            case .epochChanged(let reason):
                state.update { state in
                    state.failure = Failure(
                        query: OracleQuery(kind: .filter, sql: "", mustBeIncremental: false),
                        reason: "a new epoch: \(reason)"
                    )
                }
            default: break
            }
        }

        func receive(_ event: LiveQueryEvent) {
            state.update { state in
                do throws(Failure) { try state.note(event) } catch { state.failure = state.failure ?? error }
            }
        }
    }

    private let script: LiveScript
    private let options: Options
    private let seed: UInt64

    package init(_ script: LiveScript, seed: UInt64, options: Options) {
        self.script = script
        self.seed = seed
        self.options = options
    }

    package func run() throws -> Figures {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tablecast-live-\(UUID().uuidString)"
        )
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.appendingPathComponent("live.db").path
        let writer = try Connection(path: path, mode: .readWriteCreate)
        defer { writer.close() }
        writer.setBusyTimeout(.seconds(20))
        try writer.execute("PRAGMA page_size=1024; PRAGMA journal_mode=\(options.journalMode); PRAGMA synchronous=OFF")
        for statement in script.setUp { try? writer.execute(statement) }
        let relay = Relay()
        let watcher = try DatabaseWatcher(path: path, sink: relay)
        try watcher.start()
        defer { watcher.stop() }
        var limits = LiveLimits()
        limits.minRunInterval = .zero
        limits.reachedInterval = .milliseconds(5)
        limits.coalesceFromTransactions = options.isPaced ? 16 : 3
        limits.maxLogDeltas = 20
        limits.pinInterval = .milliseconds(5)
        let engine = LiveQueryEngine(
            path: path,
            watcher: watcher,
            sink: relay,
            position: LivePosition(epoch: "e", sequence: 0),
            limits: limits,
            watcherLimits: WatcherLimits(),
            faults: options.faults
        )
        relay.engine.withLock { $0 = engine }
        try engine.start()
        defer {
            relay.engine.withLock { $0 = nil }
            engine.stop()
        }
        var run = Run(
            relay: relay,
            engine: engine,
            writer: writer,
            options: options,
            random: SeededGenerator(seed: seed &+ 7)
        )
        try run.begin(script.queries)
        for statements in script.transactions { try run.commit(statements) }
        try run.finish()
        run.figures.statistics = engine.statistics
        return run.figures
    }

    /// The writer's thread: writes, and records the truth.
    fileprivate struct Run {
        let relay: Relay
        let engine: LiveQueryEngine
        let writer: Connection
        let options: Options
        var random: SeededGenerator
        var figures = Figures()
        private var queries: [OracleQuery] = []
        /// By the commit and the query; no entry where the query fails.
        private var truth: [Int: [OracleQuery: OracleResult]] = [:]
        private var commit = 0

        init(relay: Relay, engine: LiveQueryEngine, writer: Connection, options: Options, random: SeededGenerator) {
            self.relay = relay
            self.engine = engine
            self.writer = writer
            self.options = options
            self.random = random
        }

        mutating func begin(_ queries: [OracleQuery]) throws {
            self.queries = queries
            try note()
            for query in queries { subscribe(query, since: nil) }
            try wait { state in state.followers.values.allSatisfy { $0.replica != nil || $0.ended != nil } }
            for follower in relay.state.withLock({ Array($0.followers.values) }) {
                if let refusal = follower.ended {
                    throw Failure(query: follower.query, reason: "was refused: \(refusal)")
                }
                let isIncremental = follower.isIncremental ?? false
                if options.journalMode == "WAL", follower.query.mustBeIncremental, !isIncremental {
                    throw Failure(query: follower.query, reason: "is not incremental")
                }
            }
        }

        /// Each query has its own client, so that no limit per client is reached.
        private func id(of query: OracleQuery) -> UInt64 { UInt64(queries.firstIndex(of: query) ?? 0) }

        private func subscribe(_ query: OracleQuery, since: LivePosition?, from replica: LiveReplica? = nil) {
            let request = LiveQueryRequest(sql: query.sql, parameters: .positional(query.parameters), since: since)
            // Under the lock, so that no event arrives before its receiver is known.
            relay.state.update { state in
                let id = engine.subscribe(request, client: id(of: query))
                state.followers[id] = Follower(query: query, replica: replica, position: since)
            }
        }

        mutating func commit(_ statements: [String]) throws {
            if statements == ["VACUUM"] {
                try writer.execute("VACUUM")
            } else {
                try writer.execute("BEGIN IMMEDIATE")
                for statement in statements {
                    // A statement can fail because of a constraint, which is expected.
                    do { try writer.execute(statement) } catch { if writer.isInAutocommit { throw error } }
                    if statement.hasPrefix("INSERT INTO ledger") {
                        commit = Int(try writer.query("SELECT max(n) FROM ledger")[0][0].integer ?? 0)
                    }
                }
                try writer.execute("COMMIT")
            }
            figures.commits += 1
            try note()
            let goal = commit
            if options.isPaced || random.chance(5) {
                try wait { state in
                    state.isReached(goal) && state.lagging.isEmpty
                }
            }
            try compare()
            if options.resumes, random.chance(10) { try resume() }
        }

        /// The truth as of the present commit.
        private mutating func note() throws {
            var results: [OracleQuery: OracleResult] = [:]
            for query in queries {
                guard let rows = try? writer.query(query.sql, query.parameters) else { continue }
                results[query] = OracleResult(rows.map { Row($0) }, query)
            }
            truth[commit] = results
        }

        private mutating func compare() throws {
            let (checks, failure) = relay.state.update { state in
                defer { state.checks = [] }
                return (state.checks, state.failure)
            }
            let commitOf = relay.state.withLock { $0.commitOf }
            if let failure { throw failure }
            var left: [Check] = []
            for check in checks {
                guard let number = commitOf[check.sequence], let results = truth[number] else {
                    left.append(check)
                    continue
                }
                guard let expected = results[check.query] else { continue }
                let found = OracleResult(check.rows, check.query)
                figures.checks += 1
                figures.checksByKind[check.query.kind, default: 0] += 1
                if found != expected {
                    throw Failure(
                        query: check.query,
                        reason: "at commit \(number) after \(check.event): \(found.difference(from: expected))"
                    )
                }
            }
            if !left.isEmpty { relay.state.update { $0.checks = left + $0.checks } }
        }

        /// Ends a subscription and begins it again.
        private mutating func resume() throws {
            let candidates = relay.state.withLock { state in
                state.followers.filter { $0.value.hasJoined && $0.value.ended == nil }
            }
            guard let (id, _) = candidates.sorted(by: { $0.key.number < $1.key.number }).randomElement(using: &random)
            else {
                return
            }
            engine.unsubscribe(id)
            let follower = relay.state.update { $0.followers.removeValue(forKey: id) }
            guard let follower else { return }
            // What happens meanwhile is missed.
            if random.chance(70) {
                subscribe(follower.query, since: follower.position, from: follower.replica)
                figures.resumed += 1
            } else {
                subscribe(follower.query, since: nil)
            }
        }

        mutating func finish() throws {
            let goal = commit
            try wait { state in
                state.isReached(goal) && state.lagging.isEmpty
                    && state.followers.values.allSatisfy { $0.hasJoined || $0.ended != nil }
            }
            try compare()
            for follower in relay.state.withLock({ Array($0.followers.values) }) {
                switch follower.isIncremental {
                case true?: figures.incremental += 1
                case false?: figures.reruns += 1
                case nil: break
                }
                // On a machine that is busy with other things, a step can take longer than it may.
                if options.journalMode == "WAL", follower.query.mustBeIncremental, let reason = follower.rerunReason,
                    !reason.contains("takes longer")
                {
                    throw Failure(query: follower.query, reason: "is not incremental any more: \(reason)")
                }
                guard let refusal = follower.ended, truth[commit]?[follower.query] != nil,
                    truth.values.allSatisfy({ $0[follower.query] != nil })
                else { continue }
                throw Failure(query: follower.query, reason: "ended although it never failed: \(refusal)")
            }
        }

        private func wait(_ condition: (State) -> Bool) throws {
            let isMet = relay.state.wait(atMost: .seconds(30)) { state in
                state.failure != nil || condition(state) ? true : nil
            }
            if let failure = relay.state.withLock({ $0.failure }) { throw failure }
            if isMet == nil {
                let report = relay.state.withLock { state in
                    "reached \(state.reached?.sequence ?? 0) of \(state.sequence), lagging \(state.lagging.map(\.number).sorted()), waiting: "
                        + state.followers.values.filter { !$0.hasJoined && $0.ended == nil }.map(\.query.sql).joined(
                            separator: " | "
                        )
                }
                throw Failure(
                    query: OracleQuery(kind: .filter, sql: "", mustBeIncremental: false),
                    reason: "nothing comes any more: \(report)"
                )
            }
        }
    }
}

extension LiveOracle.State {
    fileprivate func isReached(_ commit: Int) -> Bool {
        guard let reached else { return false }
        return reached.sequence == sequence && lastCommit >= commit
    }

    fileprivate mutating func note(_ event: LiveQueryEvent) throws(LiveOracle.Failure) {
        switch event {
        case .started(let id, let description, let position, let recovered):
            guard followers[id] != nil else { return }
            followers[id]?.id = description.id
            followers[id]?.key = description.key
            followers[id]?.isIncremental = description.isIncremental
            followers[id]?.rerunReason = description.rerunReason
            if recovered == false || recovered == nil { followers[id]?.replica = nil }
            followers[id]?.position = position
        case .snapshot(let id, let description, let rows, let position):
            take(rows, id, description, position, "snapshot")
        case .missed(let id, _, let delta):
            try apply(delta, id, "missed")
        case .joined(let id, _):
            followers[id]?.hasJoined = true
        case .changed(let query, let delta):
            for (id, follower) in followers where follower.id == query && follower.hasJoined {
                try apply(delta, id, "changed")
            }
        case .reset(let description, let rows, let position):
            for (id, follower) in followers where follower.id == description.id && follower.hasJoined {
                take(rows, id, description, position, "reset")
            }
        case .refused(let id, let refusal):
            followers[id]?.ended = refusal
        case .ended(_, let subscribers, let refusal):
            for id in subscribers { followers[id]?.ended = refusal }
        case .reached(let position, let lagging):
            reached = position
            self.lagging = lagging
            for (id, follower) in followers where follower.hasJoined && follower.ended == nil {
                guard let query = follower.id, !lagging.contains(query), let replica = follower.replica else {
                    continue
                }
                followers[id]?.position = position
                checks.append(
                    LiveOracle.Check(
                        query: follower.query,
                        sequence: position.sequence,
                        rows: replica.rows,
                        event: "reached"
                    )
                )
            }
        }
    }

    private mutating func take(
        _ rows: LiveRows,
        _ id: LiveSubscriberID,
        _ description: LiveQueryDescription,
        _ position: LivePosition,
        _ event: String
    ) {
        guard let query = followers[id]?.query else { return }
        followers[id]?.replica = LiveReplica(rows.rows, isOrdered: query.isOrdered)
        followers[id]?.key = description.key
        followers[id]?.position = position
        followers[id]?.isIncremental = description.isIncremental
        followers[id]?.rerunReason = description.rerunReason
        checks.append(LiveOracle.Check(query: query, sequence: position.sequence, rows: rows.rows, event: event))
    }

    private mutating func apply(_ delta: LiveDelta, _ id: LiveSubscriberID, _ event: String) throws(LiveOracle.Failure)
    {
        guard let follower = followers[id] else { return }
        do {
            try followers[id]?.replica?.apply(delta, key: follower.key)
        } catch {
            throw LiveOracle.Failure(query: follower.query, reason: "\(event) at \(delta.position.sequence): \(error)")
        }
        followers[id]?.position = delta.position
        if let rows = followers[id]?.replica?.rows {
            checks.append(
                LiveOracle.Check(query: follower.query, sequence: delta.position.sequence, rows: rows, event: event)
            )
        }
    }
}

extension SQLiteValue {
    fileprivate var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }
}
