import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct HookCaptureTests {
    @Test func `an insert, an update and a delete are each one entry of their commit`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a'), (2, 'b')",
            "INSERT INTO t VALUES(3, 'c'); UPDATE t SET v = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2"
        )
        #expect(
            commits == [
                ["t: insert @3 → (3, 'c')"],
                ["t: update @1 (1, 'a') → (1, 'z')"],
                ["t: delete @2 (2, 'b')"],
            ]
        )
    }

    @Test func `a transaction has one net entry for each row that differs`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a'), (2, 'b'), (3, 'c')",
            """
            BEGIN;
            INSERT INTO t VALUES(9, 'x'); DELETE FROM t WHERE id = 9;
            UPDATE t SET v = 'b2' WHERE id = 2; UPDATE t SET v = 'b' WHERE id = 2;
            UPDATE t SET v = 'c2' WHERE id = 3; UPDATE t SET v = 'c3' WHERE id = 3;
            DELETE FROM t WHERE id = 1; INSERT INTO t VALUES(1, 'a');
            COMMIT
            """
        )
        #expect(commits == [["t: update @3 (3, 'c') → (3, 'c3')"]])
    }

    @Test func `an update that changes nothing is not published`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a')",
            "UPDATE t SET v = v"
        )
        #expect(commits == [[]])
    }

    @Test func `a table without rowid is identified by its primary key`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE w(v, k TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO w VALUES(1, 'a'), (2, 'b')",
            "UPDATE w SET v = 5 WHERE k = 'a'; UPDATE w SET k = 'z' WHERE k = 'b'; REPLACE INTO w VALUES(7, 'z')"
        )
        #expect(
            commits == [
                ["w: update (1, 'a') → (5, 'a')"],
                ["w: delete (2, 'b')", "w: insert → (2, 'z')"],
                ["w: update (2, 'z') → (7, 'z')"],
            ]
        )
    }

    @Test func `REPLACE reports the rows that it removes`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE); INSERT INTO t VALUES(1, 'a'), (2, 'b'), (3, 'c')",
            "REPLACE INTO t VALUES(1, 'b'); UPDATE OR REPLACE t SET id = 3 WHERE id = 1"
        )
        #expect(
            commits == [
                ["t: delete @2 (2, 'b')", "t: update @1 (1, 'a') → (1, 'b')"],
                ["t: delete @1 (1, 'b')", "t: update @3 (3, 'c') → (3, 'b')"],
            ]
        )
    }

    @Test func `DELETE without WHERE reports every row`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a'), (2, 'b')",
            "DELETE FROM t"
        )
        #expect(commits == [["t: delete @1 (1, 'a')", "t: delete @2 (2, 'b')"]])
    }

    @Test func `rows changed by triggers and cascades are published`() throws {
        let commits = try Capture.lines(
            """
            PRAGMA foreign_keys = ON;
            CREATE TABLE p(id INTEGER PRIMARY KEY);
            CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE);
            CREATE TABLE n(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE SET NULL);
            CREATE TABLE l(t);
            CREATE TRIGGER r AFTER DELETE ON c BEGIN INSERT INTO l VALUES('gone ' || old.id); END;
            INSERT INTO p VALUES(1); INSERT INTO c VALUES(10, 1); INSERT INTO n VALUES(20, 1);
            """,
            "DELETE FROM p"
        )
        #expect(
            commits.map { Set($0) } == [
                [
                    "p: delete @1 (1)", "c: delete @10 (10, 1)", "n: update @20 (20, 1) → (20, NULL)",
                    "l: insert @1 → ('gone 10')",
                ]
            ]
        )
    }

    @Test func `a rolled back transaction publishes nothing`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
            "BEGIN; INSERT INTO t VALUES(1, 'a'); ROLLBACK; INSERT INTO t VALUES(2, 'b')"
        )
        #expect(commits == [["t: insert @2 → (2, 'b')"]])
    }

    @Test func `what ROLLBACK TO undoes is not published`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a'), (2, 'b')",
            """
            BEGIN; UPDATE t SET v = 'kept' WHERE id = 1;
            SAVEPOINT s; UPDATE t SET v = 'lost' WHERE id = 1; DELETE FROM t WHERE id = 2;
            SAVEPOINT s; INSERT INTO t VALUES(3, 'lost'); RELEASE s;
            ROLLBACK TO s; INSERT INTO t VALUES(4, 'kept'); RELEASE s; COMMIT
            """
        )
        #expect(commits == [["t: update @1 (1, 'a') → (1, 'kept')", "t: insert @4 → (4, 'kept')"]])
    }

    @Test func `a savepoint outside of a transaction commits when it is released`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
            "SAVEPOINT a; INSERT INTO t VALUES(1, 'x'); SAVEPOINT b; INSERT INTO t VALUES(2, 'y'); RELEASE a"
        )
        #expect(commits == [["t: insert @1 → (1, 'x')", "t: insert @2 → (2, 'y')"]])
    }

    @Test(arguments: CaptureLevel.allCases)
    func `a statement that fails in a transaction reports only the rows that it kept`(level: CaptureLevel) throws {
        let writer = try CapturedWriter(
            level: level,
            setUp: "CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE); INSERT INTO t VALUES(1, 'a'), (2, 'b'), (3, 'c')"
        )
        let commits = writer.run(
            """
            BEGIN;
            INSERT INTO t VALUES(4, 'd'), (5, 'a');
            INSERT OR FAIL INTO t VALUES(6, 'f'), (7, 'b');
            UPDATE t SET v = 'same';
            UPDATE OR IGNORE t SET v = 'b' WHERE id = 3;
            INSERT OR IGNORE INTO t VALUES(8, 'h'), (9, 'a');
            COMMIT
            """
        )
        #expect(writer.errors.count == 3)
        switch level {
        case .values: #expect(commits.map(\.lines) == [["t: insert @6 → (6, 'f')", "t: insert @8 → (8, 'h')"]])
        case .keys: #expect(commits.map(\.lines) == [["t: insert @6", "t: insert @8"]])
        case .counts: #expect(commits.map(\.lines) == [["t: +2 ~0 -0"]])
        }
    }

    @Test func `OR ROLLBACK leaves nothing`() throws {
        let writer = try CapturedWriter(setUp: "CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)")
        let commits = writer.run(
            """
            BEGIN; INSERT INTO t VALUES(1, 'a'); INSERT OR ROLLBACK INTO t VALUES(2, 'a');
            INSERT INTO t VALUES(3, 'c')
            """
        )
        #expect(commits.map(\.lines) == [["t: insert @3 → (3, 'c')"]])
    }

    @Test func `a commit that a deferred foreign key rejects is published when it succeeds later`() throws {
        let writer = try CapturedWriter(
            setUp: """
                PRAGMA foreign_keys = ON; CREATE TABLE p(id INTEGER PRIMARY KEY);
                CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)
                """
        )
        let commits = writer.run(
            "BEGIN; INSERT INTO c VALUES(1); COMMIT; INSERT INTO p VALUES(1); COMMIT"
        )
        #expect(writer.errors.count == 1)
        #expect(commits.map(\.lines) == [["c: insert @1 → (1)", "p: insert @1 → (1)"]])
    }

    @Test func `generated columns have the values that a query reads`() throws {
        let commits = try Capture.lines(
            """
            CREATE TABLE g(v AS (a * 2) VIRTUAL, a INT, r REAL, id INTEGER PRIMARY KEY, s AS (a + 1) STORED, z TEXT);
            INSERT INTO g(a, r, z) VALUES(1, 2, 'z')
            """,
            "UPDATE g SET a = 5, r = 3; INSERT INTO g(a, r) VALUES(7, 9); DELETE FROM g"
        )
        #expect(
            commits == [
                ["g: update @1 (2, 1, 2.0, 1, 2, 'z') → (10, 5, 3.0, 1, 6, 'z')"],
                ["g: insert @2 → (14, 7, 9.0, 2, 8, NULL)"],
                ["g: delete @1 (10, 5, 3.0, 1, 6, 'z')", "g: delete @2 (14, 7, 9.0, 2, 8, NULL)"],
            ]
        )
    }

    @Test func `a row older than an added column has its default before`() throws {
        let commits = try Capture.lines(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a'), (2, 'b');
            ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'x'; UPDATE t SET d = NULL WHERE id = 2
            """,
            "UPDATE t SET v = 'c'"
        )
        #expect(
            commits == [["t: update @1 (1, 'a', 'x') → (1, 'c', 'x')", "t: update @2 (2, 'b', NULL) → (2, 'c', NULL)"]]
        )
    }

    @Test func `with keys a row is named by its primary key, before and after`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(v, k TEXT PRIMARY KEY); INSERT INTO t VALUES(1, 'a'), (2, 'b'), (3, 'c')",
            "BEGIN; UPDATE t SET k = 'z' WHERE k = 'a'; UPDATE t SET v = 9 WHERE k = 'b'; DELETE FROM t WHERE k = 'c'; INSERT INTO t(rowid, v, k) VALUES(4, 4, 'd'); COMMIT",
            level: .keys
        )
        #expect(
            commits == [
                [
                    "t: delete @3 ('c')", "t: update @1 ('a') → ('z')", "t: update @2 ('b') → ('b')",
                    "t: insert @4 → ('d')",
                ]
            ]
        )
    }

    @Test func `table names that differ only in normalisation are two tables`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE \"caf\u{e9}\"(v); CREATE TABLE \"cafe\u{301}\"(v)",
            "BEGIN; INSERT INTO \"caf\u{e9}\" VALUES(1); INSERT INTO \"cafe\u{301}\" VALUES(2); COMMIT"
        )
        #expect(
            commits.map { $0.map { Array($0.utf8) } } == [
                [
                    Array("caf\u{e9}: insert @1 → (1)".utf8), Array("cafe\u{301}: insert @1 → (2)".utf8),
                ]
            ]
        )
    }

    @Test func `text that is not UTF-8, infinities and empty blobs arrive unchanged`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
            """
            BEGIN; INSERT INTO t VALUES(1, CAST(x'ff61' AS TEXT)), (2, 9e999), (3, x''), (4, ''),
            (-9223372036854775808, 9223372036854775807), (5, -0.0), (6, 1e308 * 10 - 1e308 * 10); COMMIT
            """
        )
        #expect(
            commits == [
                [
                    "t: insert @1 → (1, ?[255, 97])", "t: insert @2 → (2, inf)", "t: insert @3 → (3, x)",
                    "t: insert @4 → (4, '')",
                    "t: insert @-9223372036854775808 → (-9223372036854775808, 9223372036854775807)",
                    "t: insert @5 → (5, -0.0)", "t: insert @6 → (6, NULL)",
                ]
            ]
        )
    }

    @Test func `temporary and attached tables are not published`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(v); ATTACH ':memory:' AS other; CREATE TABLE other.t(v); CREATE TEMP TABLE u(v)",
            "INSERT INTO other.t VALUES(1); INSERT INTO temp.u VALUES(1); CREATE TEMP TABLE x(v); CREATE TABLE other.y(v)"
        )
        #expect(commits.allSatisfy { $0 == [] })
    }
}

enum Capture {
    /// The changes that the statements of `sql` commit, as lines of text, one list for each commit.
    static func lines(_ setUp: String, _ sql: String, level: CaptureLevel = .values) throws -> [[String]] {
        let writer = try CapturedWriter(level: level, setUp: setUp)
        let commits = writer.run(sql).map(\.lines)
        if let error = writer.errors.first { throw error }
        return commits
    }
}
