import Foundation
import QueryEngine
import SQLiteConnection
import Synchronization
import Testing

/// Measures the accuracy of the percentages on a table of 10 million rows; too slow for every test run.
///
/// `TABLECAST_MEASURE_PROGRESS=1 swift test -c release -Xswiftc -enable-testing --filter ProgressMeasurement`
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["TABLECAST_MEASURE_PROGRESS"] != nil))
struct ProgressMeasurement {
    static let schema = """
        CREATE TABLE t(id INTEGER PRIMARY KEY, g INTEGER, x REAL, name TEXT, note TEXT);
        INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000000)
            SELECT n, (n * 7919) % 10007, n * 0.37, 'name ' || ((n * 104729) % 1000003),
                substr('lorem ipsum dolor sit amet', 1, n % 20) FROM c;
        """

    static let queries = [
        ("full scan", "SELECT * FROM t"),
        ("full scan with a filter", "SELECT * FROM t WHERE g % 3 = 0 AND name LIKE '%9%'"),
        ("aggregate", "SELECT sum(x), max(name) FROM t"),
        ("GROUP BY, 10,007 groups", "SELECT g, count(*), sum(x) FROM t GROUP BY g"),
        ("GROUP BY, a million groups", "SELECT name, count(*), sum(x) FROM t GROUP BY name"),
        ("DISTINCT", "SELECT DISTINCT g FROM t"),
        ("ORDER BY", "SELECT * FROM t ORDER BY name"),
        ("ORDER BY with a filter", "SELECT * FROM t WHERE g < 5000 ORDER BY name"),
        ("ORDER BY with a LIMIT", "SELECT * FROM t ORDER BY name LIMIT 100"),
        ("CREATE INDEX", "CREATE INDEX i ON t(name)"),
        ("bulk UPDATE", "UPDATE t SET x = x + 1"),
        ("bulk UPDATE with a filter", "UPDATE t SET note = 'n' WHERE g < 5000"),
        ("INSERT from a SELECT", "CREATE TABLE u AS SELECT * FROM t"),
        ("bulk DELETE with a filter", "DELETE FROM t WHERE g % 2 = 0"),
        ("bulk DELETE", "DELETE FROM t"),
    ]

    /// Encodes about as much as a JSON writer.
    final class CountingSink: QuerySink {
        let log = Mutex<
            (
                started: ContinuousClock.Instant?, reports: [QueryProgress], end: RecordingSink.End?,
                continuation: CheckedContinuation<Void, Never>?
            )
        >(
            (nil, [], nil, nil)
        )
        func started(readOnly: Bool) { log.withLock { $0.started = .now } }
        func columns(statementIndex: Int, names: [String]) {}
        func row(_ statement: borrowing Statement) -> Int {
            var bytes = 0
            for column in 0..<statement.columnCount {
                statement.withColumn(column) { value in
                    switch value {
                    case .text(let text), .blob(let text): for byte in text where byte != 0x22 { bytes += 1 }
                    default: bytes += 8
                    }
                }
            }
            return bytes
        }
        func takeBackRow() {}
        func endOfBatch() {}
        var isWritable: Bool { true }
        func progress(_ progress: QueryProgress) { log.withLock { $0.reports.append(progress) } }
        func completed(_ outcome: QueryOutcome) { end(.completed(outcome)) }
        func failed(_ failure: QueryFailure) { end(.failed(failure)) }
        func cancelled(_ cancellation: QueryCancellation) {
            end(.cancelled(cancellation.reason, inTransaction: cancellation.inTransaction))
        }
        private func end(_ end: RecordingSink.End) {
            log.withLock {
                $0.end = end
                $0.continuation?.resume()
            }
        }
    }

    @Test func `percentages are near the true share of time`() async throws {
        let harness = try Harness(Self.schema) {
            $0.limits.statementTime = .seconds(600)
        }
        let only = ProcessInfo.processInfo.environment["TABLECAST_MEASURE_ONLY"] ?? ""
        var all: [Double] = []
        for (name, sql) in Self.queries where only.isEmpty || name.contains(only) {
            let sink = CountingSink()
            let start = ContinuousClock.now
            await withCheckedContinuation { continuation in
                sink.log.withLock { $0.continuation = continuation }
                harness.service.submit(SQLRequest(queryId: name, sql: sql), for: ClientKey("ada"), sink: sink)
            }
            let (started, reports, end, _) = sink.log.withLock { $0 }
            // The checkpoint after the previous query can have delayed this one.
            let waited = start.duration(to: started ?? start) / .seconds(1)
            let total = start.duration(to: .now) / .seconds(1) - waited
            func share(_ report: QueryProgress) -> Double { (report.elapsed / .seconds(1) - waited) / total }
            let errors = reports.compactMap { report in
                report.fraction.map { abs($0 - share(report)) * 100 }
            }
            all += errors
            let good = errors.filter { $0 <= 10 }.count
            let trace = reports.map { r in
                "\(Int(share(r) * 100)):\(r.fraction.map { String(Int($0 * 100)) } ?? "-")"
            }
            print(
                "\(name): \(String(format: "%.2f", total)) s, \(reports.count) reports, \(errors.count) with a percentage, "
                    + "\(good) within 10 points, worst \(Int(errors.max() ?? 0)); \(end?.failure?.message ?? "")"
            )
            print(
                "    "
                    + trace.enumerated().filter { $0.offset % max(1, trace.count / 20) == 0 }.map(\.element).joined(
                        separator: " "
                    )
            )
        }
        let share = Double(all.filter { $0 <= 10 }.count) / Double(max(all.count, 1))
        print("all: \(all.count) percentages, \(Int(share * 100)) % within 10 points")
        #expect(share >= 0.9)
    }
}
