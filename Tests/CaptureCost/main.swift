import ChangeCapture
import OracleSupport
import SQLiteConnection

// The cost of capture: each workload with and without it, alternating in one process, processor time, best of several
// rounds. Prints the ratio for each level, and those of hooks that keep nothing, which are SQLite's own share.
// `CaptureCost [thousands of rows, 1000] [rounds, 3] [workload 0-5]`; `CaptureCost log [thousands of rows] [rounds]`
// measures the service's way in WAL mode; `CaptureCost memory` shows the memory of a transaction of five million rows
// at its end.

let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "memory" {
    try MemoryUse.report()
} else if arguments.first == "log" {
    let sizes = arguments.dropFirst().compactMap { Int($0) }
    try LogRoad.report(rows: (sizes.first ?? 1_000) * 1_000, rounds: sizes.dropFirst().first ?? 3)
} else {
    let thousands = arguments.first.flatMap { Int($0) } ?? 1_000
    let rounds = arguments.dropFirst().first.flatMap { Int($0) } ?? 3
    let only = arguments.dropFirst(2).first.flatMap { Int($0) }
    try CostReport(rows: thousands * 1_000, rounds: rounds, only: only).run()
}
