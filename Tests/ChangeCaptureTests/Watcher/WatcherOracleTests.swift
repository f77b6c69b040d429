import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Random transactions of other processes, as the watcher reports them, compared with the rows that SQLite reads.
@Suite(.serialized) struct WatcherOracleTests {
    static let cases: [OracleCase] = [
        OracleCase(name: "one writer"),
        OracleCase(name: "three writers", writers: 3),
        OracleCase(name: "pages of 512", database: ["page=512"]),
        OracleCase(name: "auto_vacuum full", database: ["page=1024", "autovacuum=1"]),
        OracleCase(
            name: "auto_vacuum incremental",
            database: ["page=1024", "autovacuum=2"],
            workload: ["incremental=50"]
        ),
        OracleCase(name: "pages of 65536", database: ["page=65536"]),
        OracleCase(name: "UTF-16le", database: ["page=2048", "encoding=UTF-16le"]),
        OracleCase(name: "UTF-16be", database: ["page=1024", "encoding=UTF-16be", "autovacuum=1"]),
        OracleCase(name: "reserved bytes", database: ["page=1024", "reserve=32"]),
        OracleCase(name: "spilling", database: ["page=512"], workload: ["cache=5"]),
        OracleCase(
            name: "psow=0",
            database: ["page=1024"],
            workload: ["synchronous=FULL"],
            uriQuery: "psow=0"
        ),
        OracleCase(
            name: "checkpoint every 5 pages",
            database: ["page=1024"],
            workload: ["autocheckpoint=5"],
            writers: 2
        ),
        OracleCase(name: "killed writers", database: ["page=1024"], killed: 4),
        OracleCase(
            name: "rollback journal",
            database: ["page=1024", "journal=DELETE"],
            workload: ["checkpoints=0"],
            writers: 2,
            mayMerge: true
        ),
        OracleCase(
            name: "rollback journal, four writers",
            database: ["page=512", "journal=DELETE"],
            workload: ["checkpoints=0", "journal=PERSIST"],
            writers: 4,
            mayMerge: true
        ),
        OracleCase(
            name: "rollback journal, truncated, auto_vacuum",
            database: ["journal=DELETE", "autovacuum=1"],
            workload: ["checkpoints=0", "journal=TRUNCATE", "vacuum=20"],
            writers: 2,
            mayMerge: true
        ),
        OracleCase(
            name: "rollback journal, spilling",
            database: ["page=512", "journal=DELETE"],
            workload: ["checkpoints=0", "cache=10", "vacuum=20"],
            writers: 3,
            mayMerge: true
        ),
        OracleCase(
            name: "rollback journal, persistent, spilling, killed writers",
            database: ["page=1024", "journal=DELETE", "autovacuum=2"],
            workload: ["checkpoints=0", "journal=PERSIST", "cache=10", "vacuum=10", "incremental=50"],
            writers: 2,
            killed: 3,
            mayMerge: true
        ),
        OracleCase(
            name: "rollback journal, truncated, spilling, killed writers",
            database: ["page=512", "journal=DELETE"],
            workload: ["checkpoints=0", "journal=TRUNCATE", "cache=10", "vacuum=20"],
            writers: 3,
            killed: 3,
            mayMerge: true
        ),
        OracleCase(name: "four writers and checkpoints", workload: ["checkpoints=100"], writers: 4),
        OracleCase(name: "forced restarts", workload: ["checkpoints=0"], forcesRestarts: true),
        OracleCase(
            name: "forced restarts, three writers, spilling",
            database: ["page=512"],
            workload: ["cache=5", "autocheckpoint=20"],
            writers: 3,
            forcesRestarts: true
        ),
    ]

    @Test(arguments: cases.filter(OracleSettings.isChosen))
    func `random transactions of other processes are reported exactly`(_ test: OracleCase) throws {
        for _ in 0..<OracleSettings.runs {
            let outcome = try OracleRun(test).run()
            #expect(outcome.complaints.isEmpty, "seed \(outcome.seed)")
        }
    }
}
