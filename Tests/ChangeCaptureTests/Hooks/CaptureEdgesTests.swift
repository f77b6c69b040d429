import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct CaptureEdgesTests {
    @Test func `a key that is set from a virtual REAL column is not guessed`() throws {
        let commits = try Capture.lines(
            """
            CREATE TABLE t(k, h REAL AS (b + 1) VIRTUAL, b DOUBLE, PRIMARY KEY(b, k)) WITHOUT ROWID;
            INSERT INTO t(k, b) VALUES(6, 0)
            """,
            "UPDATE t SET k = h"
        )
        #expect(commits == [["t: changed"]])
    }

    @Test func `RAISE(FAIL) keeps the rows before it and RAISE(IGNORE) leaves its row out`() throws {
        let writer = try CapturedWriter(
            setUp: """
                CREATE TABLE t(id INTEGER PRIMARY KEY);
                CREATE TRIGGER f AFTER INSERT ON t WHEN new.id = 3 BEGIN SELECT RAISE(FAIL, 'three'); END;
                CREATE TRIGGER i BEFORE INSERT ON t WHEN new.id = 12 BEGIN SELECT RAISE(IGNORE); END
                """
        )
        let commits = writer.run(
            "BEGIN; INSERT INTO t VALUES(1), (2), (3), (4); INSERT INTO t VALUES(11), (12), (13); COMMIT"
        )
        #expect(writer.errors.count == 1)
        #expect(
            commits.map(\.lines) == [
                [
                    "t: insert @1 → (1)", "t: insert @2 → (2)", "t: insert @3 → (3)", "t: insert @11 → (11)",
                    "t: insert @13 → (13)",
                ]
            ]
        )
    }

    @Test func `an INSTEAD OF trigger reports the rows that it writes and a recursive one all of them`() throws {
        let commits = try Capture.lines(
            """
            PRAGMA recursive_triggers = ON; CREATE TABLE t(n INTEGER PRIMARY KEY);
            CREATE VIEW v AS SELECT n FROM t;
            CREATE TRIGGER i INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES(new.n); END;
            CREATE TRIGGER r AFTER INSERT ON t WHEN new.n < 3 BEGIN INSERT INTO t VALUES(new.n + 1); END
            """,
            "INSERT INTO v VALUES(1)"
        )
        #expect(commits == [["t: insert @1 → (1)", "t: insert @2 → (2)", "t: insert @3 → (3)"]])
    }

    @Test func `UPSERT, RETURNING and a write with a common table expression are reported`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(k TEXT UNIQUE, n); INSERT INTO t VALUES('a', 1)",
            """
            INSERT INTO t VALUES('a', 5), ('b', 2) ON CONFLICT(k) DO UPDATE SET n = n + excluded.n RETURNING n;
            WITH x(k) AS (SELECT 'b') DELETE FROM t WHERE k IN x;
            INSERT INTO t VALUES('a', 0) ON CONFLICT DO NOTHING
            """
        )
        #expect(
            commits == [
                ["t: update @1 ('a', 1) → ('a', 6)", "t: insert @2 → ('b', 2)"], ["t: delete @2 ('b', 2)"], [],
            ]
        )
    }

    @Test(arguments: CaptureLevel.allCases)
    func `an incremental blob write is an update`(level: CaptureLevel) throws {
        let writer = try CapturedWriter(
            level: level,
            setUp: "CREATE TABLE t(id INTEGER PRIMARY KEY, b); INSERT INTO t VALUES(1, x'0102'), (2, x'03')"
        )
        let write = ScriptStep.BlobWrite(table: "t", column: "b", rowid: 1, bytes: [9])
        let commits = writer.run(ScriptStep("", blobWrite: write))
        let expected =
            switch level {
            case .counts: "t: +0 ~1 -0"
            case .keys: "t: update @1"
            case .values: "t: update @1 (1, x1.2) → (1, x9.2)"
            }
        #expect(commits.map(\.lines) == [[expected]])
    }

    @Test func `an interrupted write leaves nothing, and the next one is published`() throws {
        let writer = try CapturedWriter(setUp: "CREATE TABLE t(id INTEGER PRIMARY KEY)")
        let endless = """
            INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n
            """
        let interrupted = writer.run(ScriptStep(endless, interruptAfter: 5_000))
        #expect(interrupted.flatMap(\.lines) == [])
        #expect(writer.errors.map(\.code.primary) == [.interrupt])
        #expect(writer.run("INSERT INTO t VALUES(1)").map(\.lines) == [["t: insert @1 → (1)"]])
    }

    @Test func `a row that moves to another rowid is a delete and an insert`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(v); INSERT INTO t VALUES('a'); CREATE TABLE p(id INTEGER PRIMARY KEY, v); INSERT INTO p VALUES(1, 'b')",
            "UPDATE t SET rowid = 5; UPDATE p SET id = 9"
        )
        #expect(
            commits == [
                ["t: delete @1 ('a')", "t: insert @5 → ('a')"], ["p: delete @1 (1, 'b')", "p: insert @9 → (9, 'b')"],
            ]
        )
    }

    @Test func `VACUUM reports only tables whose rowids it changed`() throws {
        let commits = try Capture.lines(
            """
            CREATE TABLE t(v); CREATE TABLE k(id INTEGER PRIMARY KEY); CREATE TABLE dense(v);
            INSERT INTO t(rowid, v) VALUES(1, 'a'), (5, 'b'); INSERT INTO k VALUES(3), (7); INSERT INTO dense VALUES(1), (2);
            CREATE TABLE hidden(rowid, oid, _rowid_); INSERT INTO hidden VALUES(1, 1, 1), (2, 2, 2);
            DELETE FROM hidden WHERE oid = 1
            """,
            "VACUUM"
        )
        // It is unknown whether rowids that no name reaches have changed.
        #expect(commits == [["t: changed", "hidden: changed"]])
    }

    @Test func `a blob of a megabyte arrives whole`() throws {
        let writer = try CapturedWriter(setUp: "CREATE TABLE t(id INTEGER PRIMARY KEY, b)")
        let rows = try #require(writer.run("INSERT INTO t VALUES(1, zeroblob(1000000))").first?.onlyRows)
        #expect(rows.rows.first?.after?[1] == .blob([UInt8](repeating: 0, count: 1_000_000)))
    }

    @Test func `a schema that another connection changed is known before the next write`() throws {
        let path = "\(TemporaryFiles.directory)/capture-foreign-\(UInt64.random(in: 0...UInt64.max)).db"
        defer { TemporaryFiles.remove(path) }
        let writer = try CapturedWriter(path: path, setUp: "PRAGMA journal_mode = WAL; CREATE TABLE t(a)")
        let other = try Connection(path: path, mode: .readWrite)
        try other.execute("ALTER TABLE t ADD COLUMN b DEFAULT 7; CREATE TABLE u(x)")
        let commits = writer.run("INSERT INTO t(a) VALUES(1); INSERT INTO u VALUES(2)")
        #expect(commits.map(\.lines) == [["t: insert @1 → (1, 7)"], ["u: insert @1 → (2)"]])
    }

    @Test func `a view has no columns after the table that it reads was dropped in its transaction`() throws {
        let writer = try CapturedWriter(setUp: "CREATE TABLE t(a, b)")
        _ = writer.run("BEGIN; CREATE VIEW v AS SELECT * FROM t; DROP TABLE t; COMMIT")
        #expect(writer.capture.schema["v"]?.description.columns == [])
    }
}
