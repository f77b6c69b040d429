import LiveOracleSupport
import LiveQueries
import RandomSupport
import Testing

@Suite struct LiveOracleTests {
    @Test func `replicas equal their queries as of every commit`() throws {
        var random = SeededGenerator.announced()
        var figures = LiveOracle.Figures()
        for _ in 0..<4 {
            figures += try LiveCampaign(seed: random.next(), commits: 60, queries: 30).run()
        }
        #expect(figures.checks > 2_000)
        // A query that falls back to a whole run would hide a wrong step.
        #expect(figures.statistics.incrementalSteps > figures.statistics.resets)
        #expect(figures.statistics.sparedRuns > 0)
    }

    @Test func `replicas equal their queries where commits are evaluated several at once`() throws {
        var random = SeededGenerator.announced()
        var options = LiveOracle.Options()
        options.isPaced = false
        for _ in 0..<3 {
            let figures = try LiveCampaign(seed: random.next(), commits: 120, queries: 30, options: options).run()
            #expect(figures.checks > 0)
        }
    }

    @Test func `with a rollback journal queries run as a whole`() throws {
        var random = SeededGenerator.announced()
        var options = LiveOracle.Options()
        options.journalMode = "DELETE"
        let figures = try LiveCampaign(seed: random.next(), commits: 30, queries: 15, options: options).run()
        #expect(figures.incremental == 0)
        #expect(figures.checks > 0)
    }

    @Test(
        arguments: [
            LiveQueryFaults.noExclusion, .noOldGroups, .noLeftJoins, .noRestriction, .noStateBefore,
        ]
    )
    func `the oracle finds a part of the evaluation that is missing`(_ fault: LiveQueryFaults) throws {
        var options = LiveOracle.Options()
        options.faults = fault
        #expect(throws: LiveCampaign.Failure.self) {
            for seed in 500..<510 as Range<UInt64> {
                _ = try LiveCampaign(seed: seed, commits: 60, queries: 40, options: options).run(isShrunk: false)
            }
        }
    }
}
