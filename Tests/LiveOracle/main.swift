import Foundation
import LiveOracleSupport
import LiveQueries

// swift run -c release LiveOracle [SEEDS] [COMMITS] [FIRST SEED] [fault number]

let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
let seeds = arguments.first ?? 20
let commits = Int(arguments.dropFirst().first ?? 200)
let first = arguments.dropFirst(2).first ?? UInt64.random(in: 0...1 << 40)
let faults = LiveQueryFaults(rawValue: Int(arguments.dropFirst(3).first ?? 0))

var figures = LiveOracle.Figures()
for seed in first..<first + seeds {
    var options = LiveOracle.Options()
    options.isPaced = seed % 3 != 0
    options.faults = faults
    if seed % 11 == 10 { options.journalMode = "DELETE" }
    do {
        figures += try LiveCampaign(seed: seed, commits: commits, queries: 40, options: options).run()
    } catch {
        print("FAILED \(error)")
        exit(1)
    }
}
let kinds = figures.checksByKind.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key) \($0.value)" }
print(
    """
    seeds \(first)..<\(first + seeds): \(figures.commits) commits, \(figures.checks) checks, 0 wrong; \(kinds.joined(separator: ", "))
    queries: \(figures.incremental) incremental, \(figures.reruns) run as a whole; resumed \(figures.resumed)
    \(figures.statistics)
    """
)
