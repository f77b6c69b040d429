import ChangeCapture
import OracleSupport
import SQLiteConnection

/// The service's own way in WAL mode: its writer announces its commits, and the watcher finds the rows in the log, on
/// its own thread.
final class LogRoad {
    /// The times of one workload: of the writer's thread, and of all threads together.
    struct Times {
        var writer: Duration
        var process: Duration
    }

    private final class Sink: DatabaseEventSink {
        func receive(_ event: DatabaseEvent) {
            if case .epochChanged(let reason) = event { print("a new epoch: \(reason)") }
        }
    }

    /// What the hooks say of the log.
    private final class Log {
        var frames = 0
    }

    private let connection: Connection
    private let watcher: DatabaseWatcher
    private let log = Log()
    private var token: UInt64 = 0

    private init(_ connection: Connection, path: String, level: CaptureLevel) throws {
        connection.setBusyTimeout(.seconds(5))
        self.connection = connection
        var limits = WatcherLimits()
        limits.transaction.maxRows = 10_000_000
        limits.transaction.maxValueBytes = 1 << 30
        watcher = try DatabaseWatcher(path: path, sink: Sink(), limits: limits)
        watcher.captureLevel = level
        try watcher.start()
        let own = watcher.localCommits
        connection.setCommitHook {
            own.willCommit()
            return .commit
        }
        connection.setWALHook { [log] _, frames in log.frames = frames }
    }

    private func committed() {
        token += 1
        watcher.localCommits.didCommit(
            LocalCommitLedger.Commit(token: token, frameCount: UInt32(clamping: log.frames), changes: nil)
        )
        // As far ahead as the service allows its writer to be.
        wait(for: token - min(token, 64))
    }

    private func wait(for token: UInt64) {
        precondition(watcher.localCommits.waitUntilDelivered(token, atMost: .seconds(60)), "not delivered")
    }

    static func measure(_ workload: Workload, rows: Int, level: CaptureLevel) throws -> Times {
        let path = "\(TemporaryFiles.directory)/capture-road.db"
        TemporaryFiles.remove(path)
        defer { TemporaryFiles.remove(path) }
        let connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute(Workload.setUp)
        try workload.prepare(rows, connection)
        let road = try LogRoad(connection, path: path, level: level)
        defer { road.watcher.stop() }
        let before = ThreadTime.ofProcess
        let writer = try ThreadTime.measure {
            try workload.run(rows, connection, nil, committed: road.committed)
            road.wait(for: road.token)
        }
        return Times(writer: writer, process: ThreadTime.ofProcess - before)
    }

    static func report(rows: Int, rounds: Int) throws {
        print("\(rows) rows, best of \(rounds); the writer's thread / all threads as a multiple of bare")
        for workload in Workload.allCases.prefix(4) {
            var bare = Duration.seconds(3_600)
            var best: [CaptureLevel: Times] = [:]
            for _ in 0..<rounds {
                bare = min(bare, try workload.measure(rows: rows, .bare))
                for level in CaptureLevel.allCases {
                    let times = try measure(workload, rows: rows, level: level)
                    let known = best[level] ?? times
                    best[level] = Times(
                        writer: min(known.writer, times.writer),
                        process: min(known.process, times.process)
                    )
                }
            }
            let ratios = CaptureLevel.allCases.compactMap { level in
                best[level].map { times in
                    "\(level) \(CostReport.ratio(times.writer, bare))/\(CostReport.ratio(times.process, bare))"
                }
            }
            print("\(workload.rawValue): bare \(bare); \(ratios.joined(separator: ", "))")
        }
    }
}
