import OracleSupport
import Synchronization

// Runs the oracle for any length of time: `CaptureOracle [seeds] [statements] [first seed] [threads]`. Prints what was
// checked, and for each mismatch its seed and a short script; exits with 1 when there was one.

let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
let seedCount = arguments.first ?? 200
let statements = Int(arguments.dropFirst().first ?? 5_000)
let firstSeed = arguments.dropFirst(2).first ?? 1
let threads = Int(arguments.dropFirst(3).first ?? 2)

struct Total {
    var figures = Oracle.Figures()
    var seeds = 0
    var mismatches = 0
}

let total = Mutex(Total())
let nextSeed = Atomic(firstSeed)

await withTaskGroup { group in
    for _ in 0..<threads {
        group.addTask {
            while true {
                let seed = nextSeed.add(1, ordering: .relaxed).oldValue
                guard seed < firstSeed + seedCount else { return }
                let campaign = OracleCampaign(
                    seed: seed,
                    statements: statements,
                    directory: TemporaryFiles.directory
                )
                do {
                    let figures = try campaign.run()
                    total.withLock { total in
                        total.seeds += 1
                        total.figures.add(figures)
                        if total.seeds % 20 == 0 { report(total) }
                    }
                } catch {
                    print(error)
                    total.withLock { $0.mismatches += 1 }
                }
            }
        }
    }
}

let result = total.withLock { $0 }
report(result)
// A class that never occurred hides its faults.
for found in CaseClass.allCases.sorted() { print("\(result.figures.classes[found] ?? 0) commits: \(found.rawValue)") }
exitProcess(result.mismatches == 0 ? 0 : 1)

func report(_ total: Total) {
    print(
        "\(total.seeds) seeds, \(total.figures.statements) statements (\(total.figures.failedStatements) failed),",
        "\(total.figures.commits) commits, \(total.figures.rowChanges) rows,",
        "\(total.figures.schemaChanges) schema changes, \(total.figures.mergedCommits) comparisons of several commits,",
        "\(total.mismatches) mismatches"
    )
    flushOutput()
}
