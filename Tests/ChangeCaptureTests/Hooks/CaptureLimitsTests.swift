import OracleSupport
import RandomSupport
import SQLiteConnection
import Testing

@testable import ChangeCapture

@Suite struct CaptureLimitsTests {
    private static let setUp =
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t SELECT value, 'v' FROM json_each('[1,2,3,4,5,6]')"

    @Test func `past the limit of bytes the keys are kept and the values omitted`() throws {
        let writer = try CapturedWriter(limits: CaptureLimits(maxValueBytes: 200), setUp: Self.setUp)
        let rows = try #require(writer.run("UPDATE t SET v = printf('%.*c', 50, 'x') WHERE id < 6").first?.onlyRows)
        #expect(rows.detail == .keys && rows.rowsOmitted)
        #expect(rows.updated == 5 && rows.rows.map(\.rowid) == [1, 2, 3, 4, 5])
    }

    @Test func `past the limit of rows the counts hold and the rows are omitted`() throws {
        let writer = try CapturedWriter(limits: CaptureLimits(maxRows: 3), setUp: Self.setUp)
        let commits = writer.run(
            """
            BEGIN; UPDATE t SET v = 'x' WHERE id <> 2; UPDATE t SET v = 'x'; DELETE FROM t WHERE id = 1;
            INSERT INTO t VALUES(10, 'a'), (11, 'b'); DELETE FROM t WHERE id = 10; UPDATE t SET v = v; COMMIT
            """
        )
        #expect(commits.map(\.lines) == [["t: +1 ~5 -1 omitted"]])
    }

    @Test func `the counts of a table without rowid hold past the limit too`() throws {
        let writer = try CapturedWriter(
            limits: CaptureLimits(maxRows: 2),
            setUp:
                "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w VALUES('a', 1), ('b', 2), ('c', 3)"
        )
        let commits = writer.run(
            "BEGIN; UPDATE w SET v = 9 WHERE k < 'c'; UPDATE w SET k = k || 'x'; INSERT INTO w VALUES('d', 4); COMMIT"
        )
        #expect(commits.map(\.lines) == [["w: +4 ~0 -3 omitted"]])
    }

    @Test func `a small table beside a large one keeps its rows`() throws {
        let writer = try CapturedWriter(
            limits: CaptureLimits(maxRows: 4),
            setUp: Self.setUp + "; CREATE TABLE s(id INTEGER PRIMARY KEY)"
        )
        let commits = writer.run("BEGIN; INSERT INTO s VALUES(1); DELETE FROM t; COMMIT")
        #expect(commits.map(\.lines) == [["s: insert @1 → (1)", "t: +0 ~0 -6 omitted"]])
    }

    @Test func `changes undone past the limit are reported as unknown`() throws {
        let writer = try CapturedWriter(limits: CaptureLimits(maxRows: 3), setUp: Self.setUp)
        let commits = writer.run("BEGIN; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; DELETE FROM t WHERE id = 1; COMMIT")
        #expect(commits.map(\.lines) == [["t: changed"]])
    }

    @Test func `a new table with more rows than the limit is reported with their number`() throws {
        let writer = try CapturedWriter(limits: CaptureLimits(maxRows: 3), setUp: Self.setUp)
        #expect(
            writer.run("CREATE TABLE c AS SELECT * FROM t").map(\.lines) == [
                ["created table c", "c: +6 ~0 -0 omitted"]
            ]
        )
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `a set of rowids holds what was put into it and not taken out`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var rowids = RowidSet()
        var fingerprints = FingerprintSet()
        var expected: Set<Int64> = []
        for _ in 0..<20_000 {
            // Dense, scattered and negative ones.
            let key = Int64(random.below(9_000)) &* (random.chance(10) ? 1_000_003 : 1) &- 3_000
            let fingerprint = KeyIndex.hash(key)
            let isChanged: Bool
            let changes: [Bool]
            if random.chance(70) {
                isChanged = expected.insert(key).inserted
                changes = [rowids.insert(key), fingerprints.insert(fingerprint)]
            } else {
                isChanged = expected.remove(key) != nil
                changes = [rowids.remove(key), fingerprints.remove(fingerprint)]
            }
            #expect(changes == [isChanged, isChanged])
        }
        #expect(rowids.count == expected.count && fingerprints.count == expected.count)
        var missing = 0
        for key in expected where !rowids.contains(key) || !fingerprints.contains(KeyIndex.hash(key)) {
            missing += 1
        }
        #expect(missing == 0)
    }

    @Test func `five million neighbouring rowids take less than a megabyte`() {
        var rowids = RowidSet()
        for rowid in 0..<5_000_000 as Range<Int64> { rowids.insert(rowid) }
        #expect(rowids.count == 5_000_000)
        #expect(rowids.byteCount < 1 << 20)
    }
}

extension ChangeSet {
    /// The rows of the only table that changed.
    var onlyRows: TableRows? {
        guard events.count == 1, case .rows(let rows) = events[0] else { return nil }
        return rows
    }
}
