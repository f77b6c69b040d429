import Foundation
import QueryEngine
import SQLiteConnection
import Synchronization
import Testing

/// Measures the overhead of the service over SQLite; too slow for every test run.
///
/// `TABLECAST_MEASURE_SPEED=1 swift test -c release -Xswiftc -enable-testing --filter SpeedMeasurement`
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["TABLECAST_MEASURE_SPEED"] != nil))
struct SpeedMeasurement {
    private static let rows = 1_000_000

    private func harness() throws -> Harness {
        try Harness(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b REAL, c TEXT, d TEXT, e BLOB);
            INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT \(Self.rows))
                SELECT n, n * 7919, n * 0.37, 'name ' || n, CASE WHEN n % 10 THEN 'note ' || (n % 97) END, randomblob(8) FROM c;
            """
        ) { $0.limits.statementTime = .seconds(600) }
    }

    private func percentiles(_ times: [Duration]) -> String {
        let sorted = times.sorted()
        func at(_ share: Double) -> String {
            String(format: "%.3f", sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)] / .milliseconds(1))
        }
        return "p50 \(at(0.5)) ms, p99 \(at(0.99)) ms, max \(at(1)) ms"
    }

    private func run(_ harness: Harness, _ sql: String) async -> Duration {
        let sink = ProgressMeasurement.CountingSink()
        let start = ContinuousClock.now
        await withCheckedContinuation { continuation in
            sink.log.withLock { $0.continuation = continuation }
            harness.service.submit(
                SQLRequest(queryId: "speed", sql: sql),
                for: ClientKey("ada"),
                sink: sink
            )
        }
        return start.duration(to: .now)
    }

    @Test func `a million rows against a bare step loop`() async throws {
        let harness = try harness()
        let sql = "SELECT * FROM t"
        let sink = ProgressMeasurement.CountingSink()
        let connection = try Connection(path: harness.database.path, mode: .readOnly)
        for _ in 0..<3 {
            let bare = try ContinuousClock().measure {
                var statement = try connection.prepare(sql)
                var bytes = 0
                while try statement.step() { bytes += sink.row(statement) }
                #expect(bytes > 0)
            }
            let served = await run(harness, sql)
            let nothing = try ContinuousClock().measure {
                var statement = try connection.prepare(sql)
                while try statement.step() {}
            }
            print(
                "1M rows: served \(served), the same loop bare \(bare), ratio \(served / bare); steps alone \(nothing)"
            )
        }
    }

    @Test func `point reads one after the other`() async throws {
        let harness = try harness()
        var times: [Duration] = []
        for index in 0..<20_000 {
            let start = ContinuousClock.now
            let end = await harness.run(
                "SELECT * FROM t WHERE id = ?",
                .positional([.integer(Int64(index * 37 % Self.rows))])
            ).end
            times.append(start.duration(to: .now))
            #expect(end.outcome != nil)
        }
        let total = times.reduce(.zero, +)
        print("point reads: \(Int(Double(times.count) / (total / .seconds(1)))) a second, \(percentiles(times))")
    }

    @Test func `single inserts one after the other`() async throws {
        let harness = try harness()
        var times: [Duration] = []
        for _ in 0..<10_000 {
            let start = ContinuousClock.now
            let end = await harness.run("INSERT INTO t(a, b, c) VALUES (1, 2.5, 'x')").end
            times.append(start.duration(to: .now))
            #expect(end.outcome != nil)
        }
        let total = times.reduce(.zero, +)
        print("inserts: \(Int(Double(times.count) / (total / .seconds(1)))) a second, \(percentiles(times))")
    }

    @Test func `cancels of five kinds of query`() async throws {
        let harness = try harness()
        let kinds = [
            ("endless read", endlessQuery),
            ("join", "SELECT count(*) FROM t x, t y WHERE x.a < y.b"),
            ("sort", "SELECT * FROM t x, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) ORDER BY c DESC, a"),
            ("streaming rows", "SELECT x.* FROM t x, t y"),
            ("bulk UPDATE", "UPDATE t SET a = a + 1, c = c || 'x'"),
        ]
        for (name, sql) in kinds {
            var times: [Duration] = []
            for index in 0..<40 {
                let sink = RecordingSink(keepsRows: false)
                let running = harness.start(sql, sink: sink)
                await sink.wait { $0.readOnly != nil }
                // At another time in each run: after a number of point reads of another client.
                for _ in 0..<index * 5 { await harness.run("SELECT 1", client: "bob") }
                let start = ContinuousClock.now
                harness.service.cancel(running.queryId, by: .administrator)
                let end = await sink.end()
                times.append(start.duration(to: .now))
                #expect(end.cancelReason == .client || end.outcome != nil)
            }
            print("cancel \(name): \(percentiles(times))")
        }
    }
}
