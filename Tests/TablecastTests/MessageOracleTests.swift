import Foundation
import OracleSupport
import Testing

/// Random transactions through the whole service: one client runs them, another one receives them, and after every
/// commit the received state must equal the database, table by table.
///
/// Runs `TABLECAST_MESSAGE_SEEDS` random seeds of `TABLECAST_MESSAGE_STATEMENTS` statements, which are printed; or the
/// one of `TABLECAST_MESSAGE_SEED`.
@Suite(.timeLimit(.minutes(20))) struct MessageOracleTests {
    private static func setting(_ name: String, _ fallback: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? fallback
    }

    static let seeds: [UInt64] =
        setting("TABLECAST_MESSAGE_SEED", 0) > 0
        ? [UInt64(setting("TABLECAST_MESSAGE_SEED", 0))]
        : [1, 2] + (0..<setting("TABLECAST_MESSAGE_SEEDS", 1)).map { _ in UInt64.random(in: 0..<1_000_000_000) }

    @Test(arguments: seeds)
    func `after every commit the messages add up to the database`(seed: UInt64) async throws {
        let statements = Self.setting("TABLECAST_MESSAGE_STATEMENTS", 250)
        let run = try await MessageRun()
        var generator = ScriptGenerator(seed: seed)
        var script: [ScriptStep] = []
        for number in 0..<statements where run.complaints.isEmpty {
            generator.schema = try run.schema(reusing: generator.schema)
            let step = number < 3 ? generator.table() : generator.next(isInTransaction: run.isInTransaction)
            if step.blobWrite != nil { continue }
            script.append(step)
            try await run.run(step)
        }
        await run.close()
        print("seed \(seed): \(script.count) statements, \(run.commits) commits, \(run.rowChanges) rows")
        if run.complaints.isEmpty { return }
        let short = try await Self.shrink(script)
        let complaints = try await MessageRun.complaints(of: short)
        Issue.record(
            """
            seed \(seed): \((complaints.isEmpty ? run.complaints : complaints).prefix(3))
            \(short.map(\.description).joined(separator: "\n"))
            """
        )
    }

    /// The shortest failing script found with a limited number of services.
    private static func shrink(_ script: [ScriptStep]) async throws -> [ScriptStep] {
        var shrinker = ScriptShrinker(script, maxTries: 300)
        while let candidate = shrinker.next() {
            shrinker.candidateDid(fail: try await !MessageRun.complaints(of: candidate).isEmpty)
        }
        return shrinker.script
    }
}
