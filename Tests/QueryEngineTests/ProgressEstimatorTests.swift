import RandomSupport
import SQLiteConnection
import Testing

@testable import QueryEngine

struct ProgressEstimatorTests {
    /// The plan of a statement on a small database, with the given sizes.
    private func plan(_ sql: String, sizes: [String: Double] = ["t": 1_000, "u": 10]) throws -> WorkPlan? {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, g, v); CREATE TABLE u(id INTEGER PRIMARY KEY, w); CREATE INDEX ug ON t(g)"
        )
        return WorkPlan(try Planner.program(sql, on: connection)) { root in
            guard
                case .text(let name)? = try? connection.query(
                    "SELECT tbl_name FROM sqlite_schema WHERE rootpage = ?",
                    [.integer(Int64(root))]
                ).first?.first
            else { return nil }
            return sizes[name].map { ($0, name) }
        }
    }

    @Test(
        arguments: [
            ("SELECT * FROM t", 1_000), ("SELECT sum(v) FROM t", 1_000), ("SELECT * FROM t WHERE v = 1", 1_000),
            ("UPDATE t SET v = 1", 1_000), ("DELETE FROM t WHERE v = 1", 1_000),
            ("SELECT * FROM t, u", 1_000 + 10_000), ("SELECT (SELECT sum(w + v) FROM u) FROM t", 1_000 + 10_000),
            ("SELECT * FROM t WHERE v IN (SELECT w FROM u)", 1_000),
        ]
    )
    func `the steps of scans and nested scans are foreseen`(sql: String, steps: Double) throws {
        let plan = try #require(try plan(sql))
        let scans = plan.stages.filter {
            $0.measure == .scanSteps && $0.message.contains(" t") || $0.iterations > 1_000
        }
        #expect(scans.contains { $0.iterations == steps || $0.iterations == steps / 1_000 * 1_000 }, "\(plan.stages)")
    }

    @Test(
        arguments: [
            "SELECT * FROM t LIMIT 10", endlessQuery, "SELECT * FROM t WHERE g = 1", "SELECT 1",
            "SELECT * FROM t WHERE id > 10", "SELECT * FROM t CROSS JOIN u WHERE t.v = 1 AND u.w > t.v",
            "SELECT count(*) FROM t",
        ]
    )
    func `without a reliable estimate there is no plan`(sql: String) throws {
        #expect(try plan(sql) == nil)
    }

    @Test func `an unknown size means no plan`() throws {
        #expect(try plan("SELECT * FROM t", sizes: [:]) == nil)
    }

    @Test func `sorting and building an index are stages of their own and say so`() throws {
        #expect(try plan("SELECT * FROM t ORDER BY v")?.stages.map(\.message) == ["scanning t", "sorting"])
        #expect(try plan("SELECT v, count(*) FROM t GROUP BY v")?.stages.map(\.message) == ["scanning t", "sorting"])
        #expect(try plan("CREATE INDEX i ON t(v)")?.stages.map(\.message) == ["reading t", "building an index"])
        #expect(try plan("UPDATE t SET id = id + 1")?.stages.map(\.message) == ["scanning t", "writing rows"])
    }

    @Test func `the fraction grows with the scan and stays below one`() throws {
        var estimator = ProgressEstimator(try #require(try plan("SELECT * FROM t")))
        #expect(estimator.fraction(at: .init(scanSteps: 0, machineSteps: 0)) == 0)
        #expect(estimator.fraction(at: .init(scanSteps: 500, machineSteps: 2_000)) == 0.5)
        #expect(estimator.fraction(at: .init(scanSteps: 1_000, machineSteps: 4_000)) == 0.99)
        #expect(estimator.fraction(at: .init(scanSteps: 5_000, machineSteps: 20_000)) == 0.99)
    }

    @Test func `progress continues through the sort`() throws {
        var estimator = ProgressEstimator(try #require(try plan("SELECT * FROM t ORDER BY v")))
        let half = estimator.fraction(at: .init(scanSteps: 500, machineSteps: 4_000))
        let scanned = estimator.fraction(at: .init(scanSteps: 1_000, machineSteps: 8_000))
        let sorted = estimator.fraction(at: .init(scanSteps: 1_000, sorts: 1, machineSteps: 8_000))
        #expect(estimator.message == "sorting")
        let middle = estimator.fraction(at: .init(scanSteps: 1_000, sorts: 1, machineSteps: 11_000, rows: 500))
        #expect(0 < half && half < scanned && scanned <= sorted && sorted < middle && middle < 0.99)
    }

    @Test func `a filter that lets little pass makes the sort short`() throws {
        var estimator = ProgressEstimator(try #require(try plan("SELECT * FROM t WHERE v > 1 ORDER BY v")))
        // Three steps a row: all refused.
        #expect(estimator.fraction(at: .init(scanSteps: 900, machineSteps: 2_700)) > 0.8)
    }

    @Test func `rows that a capture keeps count for more than those it only counts`() throws {
        let plan = try #require(try plan("UPDATE t SET v = 1"))
        var estimator = ProgressEstimator(plan, capture: CaptureWork(keptRows: 100))
        // The first 100 of 1,000 rows take 1.8 times as long: 180 of 1,080 parts.
        #expect(abs(estimator.fraction(at: .init(scanSteps: 100, machineSteps: 800)) - 180.0 / 1_080) < 0.001)
        #expect(abs(estimator.fraction(at: .init(scanSteps: 400, machineSteps: 3_200)) - 480.0 / 1_080) < 0.001)
        let scan = try #require(try self.plan("SELECT * FROM t"))
        var read = ProgressEstimator(scan, capture: CaptureWork(keptRows: 100))
        #expect(read.fraction(at: .init(scanSteps: 100, machineSteps: 800)) == 0.1)
    }

    @Test func `a commit is read from the log at the end, which takes long unless it writes little`() throws {
        let capture = CaptureWork(readsLog: true)
        var all = ProgressEstimator(try #require(try plan("UPDATE t SET v = 1")), capture: capture)
        #expect(abs(all.fraction(at: .init(scanSteps: 1_000, machineSteps: 8_000)) - 1 / 1.8) < 0.001)
        let filtered = try #require(try plan("DELETE FROM t WHERE v > 1"))
        var none = ProgressEstimator(filtered, capture: capture)
        #expect(none.fraction(at: .init(scanSteps: 500, machineSteps: 1_500)) > 0.45)
        var read = ProgressEstimator(try #require(try plan("SELECT * FROM t")), capture: capture)
        #expect(read.fraction(at: .init(scanSteps: 500, machineSteps: 2_000)) == 0.5)
    }

    @Test func `it never goes backwards, whatever the counters say`() throws {
        var random = SeededGenerator.announced()
        for sql in [
            "SELECT * FROM t", "SELECT * FROM t WHERE v > 1 ORDER BY v", "CREATE INDEX i ON t(v)", "SELECT * FROM t, u",
        ] {
            var estimator = ProgressEstimator(try #require(try plan(sql)))
            var sample = ProgressEstimator.Sample()
            var last = 0.0
            for _ in 0..<1_000 {
                sample.scanSteps += Int.random(in: 0...3, using: &random)
                sample.machineSteps += Int.random(in: 0...30, using: &random)
                sample.rows += Int.random(in: 0...1, using: &random)
                if Int.random(in: 0..<300, using: &random) == 0 { sample.sorts += 1 }
                let fraction = estimator.fraction(at: sample)
                #expect(fraction >= last && fraction <= 0.99)
                last = fraction
            }
        }
    }

    @Test(
        arguments: [
            ("SELECT value FROM s", 50_000.0), ("SELECT value * 3 FROM s", 50_000),
            ("SELECT value * 1000003 FROM s", 50_000),
            ("SELECT value FROM s WHERE value < 100", 99),
        ]
    )
    func `rows are estimated from a few probes`(source: String, count: Double) throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let series = "WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s LIMIT 50000)"
        try connection.execute("CREATE TABLE r(id INTEGER PRIMARY KEY); INSERT INTO r \(series) \(source)")
        let entries = try #require(try RowEstimator(connection: connection).entries(root: 2))
        #expect(abs(entries.count - count) <= count * 0.03)
    }

    @Test func `rowids in distant clusters are not guessed at`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let series = "WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s LIMIT 50000)"
        try connection.execute(
            "CREATE TABLE r(id INTEGER PRIMARY KEY); INSERT INTO r \(series) SELECT value + (value / 10000) * 1000000000 FROM s"
        )
        #expect(try RowEstimator(connection: connection).entries(root: 2) == nil)
        try connection.execute("ANALYZE")
        #expect(try RowEstimator(connection: connection).entries(root: 2)?.count == 50_000)
    }
}
