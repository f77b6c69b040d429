import Foundation
import SQLiteConnection

@testable import ChangeCapture

/// One configuration of the random test.
struct OracleCase: Sendable, CustomStringConvertible {
    var name: String
    /// `key=value` for `ForeignWriter`'s mode `create`.
    var database: [String] = []
    /// The same for its mode `random`.
    var workload: [String] = []
    var writers = 1
    /// The number of writers that are killed during a transaction, one after the other.
    var killed = 0
    /// Commits in quick succession may be seen as one: the file has a rollback journal.
    var mayMerge = false
    /// The watcher restarts the log as often as it can, and lets the writers in between.
    var forcesRestarts = false
    /// Uses another connection string for the writers, such as `psow=0`.
    var uriQuery: String?

    var description: String { name }
}

/// Settings from the environment: more transactions, another seed.
enum OracleSettings {
    private static func value(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }
    /// Of each writer in each case.
    static var transactions: Int { value("TABLECAST_ORACLE_TRANSACTIONS").flatMap { Int($0) } ?? 60 }
    static var seed: UInt64 {
        value("TABLECAST_ORACLE_SEED").flatMap { UInt64($0) } ?? UInt64.random(in: 1...1_000_000)
    }
    /// Only the cases whose names contain this.
    static func isChosen(_ test: OracleCase) -> Bool { value("TABLECAST_ORACLE_CASE").map(test.name.contains) ?? true }
    /// Of each case.
    static var runs: Int { value("TABLECAST_ORACLE_RUNS").flatMap { Int($0) } ?? 1 }
    static var digestEvery: Int { value("TABLECAST_ORACLE_DIGEST_EVERY").flatMap { Int($0) } ?? 4 }
}

/// Runs a case: creates the database, watches it, starts the writers, and compares.
struct OracleRun {
    struct Outcome {
        var seed: UInt64
        var complaints: [String]
        var summary: String
    }

    let test: OracleCase
    let seed: UInt64

    init(_ test: OracleCase, seed: UInt64 = OracleSettings.seed) {
        self.test = test
        // Each case does something different with the same seed.
        self.seed = test.name.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } >> 32 ^ seed
    }

    /// Checks the file far more often than usual: whatever writers and checkpoints do to it, it must count as the same
    /// file.
    private var limits: WatcherLimits {
        var limits = WatcherLimits()
        limits.identityInterval = .milliseconds(1)
        guard test.forcesRestarts else { return limits }
        limits.forcedRestartFrameCount = 10
        limits.pacedRestartFrameCount = 10
        limits.forcedRestartRetryInterval = .milliseconds(1)
        limits.forcedRestartMaxCatchUp = .microseconds(200)
        return limits
    }

    func run() throws -> Outcome {
        let database = try TemporaryDatabase()
        let path = database.path
        let created = try ForeignWriterProcess(path, ["mode=create"] + test.database).finish()
        guard created.status == 0 else { return fail("cannot create: \(created.complaints)") }
        let sink = try OracleSink(digestEvery: OracleSettings.digestEvery)
        let start = try Connection(path: path, mode: .readWrite)
        try sink.replica.load(from: start)
        start.close()
        let watcher = try DatabaseWatcher(path: path, sink: sink, limits: limits)
        try watcher.start()
        defer { watcher.stop() }

        let target = test.uriQuery.map { "file:\(path)?\($0)" } ?? path
        func spawn(_ writer: Int, _ extra: [String] = []) throws -> ForeignWriterProcess {
            let standard = [
                "mode=random", "seed=\((seed &* 100 &+ UInt64(writer)) & 0x7fff_ffff)", "writer=\(writer)",
                "transactions=\(OracleSettings.transactions)",
            ]
            return try ForeignWriterProcess(target, logsAt: path, standard + test.workload + extra)
        }
        var outcomes: [Int: ForeignWriterProcess.Outcome] = [:]
        let processes = try (0..<test.writers).map { try spawn($0) }
        for number in test.writers..<(test.writers + test.killed) {
            // Kills one writer within a partly written transaction, and the next at any time.
            let end =
                number % 2 == 0
                ? "kill=\(OracleSettings.transactions / 2)" : "die=\(2_000 + Int(seed &* UInt64(number) % 60_000))"
            outcomes[number] = try spawn(number, [end]).finish()
        }
        for (number, process) in processes.enumerated() { outcomes[number] = try process.finish() }

        // A last commit of this process, after which everything before it must have been reported.
        let last = try Connection(path: path, mode: .readWrite)
        last.setBusyTimeout(.seconds(30))
        try last.execute("INSERT INTO ledger(writer, seq) VALUES(-1, 0)")
        last.close()
        var complaints: [String] = []
        if !sink.wait(for: .init(writer: -1, sequence: 0)) { complaints.append("the last commit was not reported") }
        watcher.stop()

        let end = try Connection(path: path, mode: .readWrite)
        try sink.replica.verify(against: end, "end")
        complaints += sink.replica.complaints
        // On a busy machine a writer can hold the lock for long, and the watcher reports it.
        for event in sink.events
        where !event.hasNotice(containing: "journal mode")
            && !(test.mayMerge && event.hasNotice(containing: "has been locked"))
        {
            complaints.append("event: \(event)")
        }
        if sink.doubleLedgerRows > 0, !test.mayMerge {
            complaints.append("\(sink.doubleLedgerRows) commits reported as one")
        }
        for (writer, outcome) in outcomes {
            let printed = outcome.lines.compactMap { Int64($0) }
            let reported = sink.reported.filter { $0.writer == writer }.map(\.sequence)
            if reported != reported.sorted() || Set(reported).count != reported.count {
                complaints.append("writer \(writer): out of order or twice")
            }
            let lost = Set(printed).subtracting(reported)
            // A merged transaction does not show what one commit added and the next removed.
            if !lost.isEmpty, !test.mayMerge { complaints.append("writer \(writer): lost \(lost.sorted())") }
            if outcome.status != 0, writer < test.writers {
                complaints.append("writer \(writer) failed: \(outcome.complaints)")
            }
        }
        let summary = """
            oracle \(test.name) seed \(seed): \(sink.transactions) transactions, \(sink.replica.rowEvents) rows, \
            \(sink.replica.schemaEvents) schema changes, \(sink.digests) digests, \(complaints.count) complaints
            """
        print(summary)
        return Outcome(seed: seed, complaints: complaints, summary: summary)
    }

    private func fail(_ message: String) -> Outcome {
        Outcome(seed: seed, complaints: [message], summary: message)
    }
}
