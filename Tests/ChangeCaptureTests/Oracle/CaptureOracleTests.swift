import OracleSupport
import Testing

/// Random transactions, checked against a plain connection and a replica after every commit.
///
/// `TABLECAST_ORACLE_SEEDS` and `TABLECAST_ORACLE_STATEMENTS` (for each seed) lengthen the run; `TABLECAST_ORACLE_SEED` repeats
/// one.
@Suite struct CaptureOracleTests {
    static let seeds: [UInt64] = {
        if let seed = TemporaryFiles.environment("TABLECAST_ORACLE_SEED") { return [UInt64(seed)] }
        let count = TemporaryFiles.environment("TABLECAST_ORACLE_SEEDS") ?? 16
        // Fixed seeds, and a random one that a failure prints.
        return (1..<UInt64(max(2, count))).map { $0 } + [UInt64.random(in: 1_000...UInt64(UInt32.max))]
    }()

    @Test(arguments: seeds)
    func `what is captured, a replica made of it and the database agree after every commit`(seed: UInt64) throws {
        let statements = TemporaryFiles.environment("TABLECAST_ORACLE_STATEMENTS") ?? 600
        let campaign = OracleCampaign(
            seed: seed,
            statements: statements,
            directory: TemporaryFiles.directory
        )
        let figures = try campaign.run()
        print(
            "oracle seed \(seed): \(figures.statements) statements, \(figures.failedStatements) failed, \(figures.commits) commits,",
            "\(figures.rowChanges) rows, \(figures.schemaChanges) schema changes, 0 mismatches"
        )
    }
}
