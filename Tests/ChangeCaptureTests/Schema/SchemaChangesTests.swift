import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct SchemaChangesTests {
    @Test func `objects that are created, altered and dropped are published`() throws {
        let commits = try Capture.lines(
            "",
            """
            CREATE TABLE t(a, b); CREATE INDEX i ON t(a); CREATE VIEW v AS SELECT a FROM t;
            CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END;
            ALTER TABLE t ADD COLUMN c DEFAULT 5; ALTER TABLE t RENAME COLUMN b TO bb; ALTER TABLE t DROP COLUMN bb;
            DROP TRIGGER r; DROP INDEX i; DROP VIEW v; ALTER TABLE t RENAME TO u; DROP TABLE u
            """
        )
        #expect(
            commits == [
                ["created table t"], ["modified t added index i"], ["created view v"], ["modified t added trigger r"],
                ["modified t columns 0,1,new"], ["modified t columns 0,1,2"], ["modified t columns 0,2"],
                ["modified t removed trigger r"], ["modified t removed index i"], ["dropped view v"],
                ["modified u was t"], ["dropped table u"],
            ]
        )
    }

    @Test func `a statement that leaves the schema unchanged is no schema event`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 2); CREATE INDEX i ON t(v)",
            """
            CREATE TABLE IF NOT EXISTS t(x); DROP TABLE IF EXISTS missing; ANALYZE; REINDEX; VACUUM;
            BEGIN; CREATE TABLE gone(x); DROP TABLE gone; COMMIT;
            BEGIN; CREATE TABLE gone(x); INSERT INTO gone VALUES(1); ROLLBACK
            """
        )
        #expect(commits.allSatisfy { $0 == [] })
    }

    @Test func `CREATE TABLE AS reports its rows as inserted`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a'), (2, 'b')",
            "CREATE TABLE c AS SELECT v FROM t"
        )
        #expect(commits == [["created table c", "c: insert @1 → ('a')", "c: insert @2 → ('b')"]])
    }

    @Test func `tables that swap names keep their rows apart`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v); INSERT INTO a VALUES(1, 'was a')",
            """
            BEGIN; INSERT INTO a VALUES(2, 'into a'); ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a;
            ALTER TABLE c RENAME TO b; INSERT INTO a VALUES(1, 'was b'); UPDATE b SET v = 'still' WHERE id = 1; COMMIT
            """
        )
        #expect(
            commits.map { Set($0) } == [
                [
                    "modified b was a", "modified a was b", "b: update @1 (1, 'was a') → (1, 'still')",
                    "b: insert @2 → (2, 'into a')", "a: insert @1 → (1, 'was b')",
                ]
            ]
        )
    }

    @Test func `rows have the columns as of after the commit`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'a1', 'b1'), (2, 'a2', 'b2'), (3, 'a3', 'b3')",
            """
            BEGIN; UPDATE t SET a = 'x' WHERE id = 1; ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN c INT DEFAULT '7';
            UPDATE t SET c = 8 WHERE id = 2; DELETE FROM t WHERE id = 3; COMMIT
            """
        )
        #expect(
            commits == [
                [
                    "modified t columns 0,1,new", "t: delete @3 (3, 'a3', 7)",
                    "t: update @1 (1, 'a1', 7) → (1, 'x', 7)",
                    "t: update @2 (2, 'a2', 7) → (2, 'a2', 8)",
                ]
            ]
        )
    }

    @Test func `a schema change that ROLLBACK TO undoes leaves the table as it was`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'a1', 'b1'), (2, 'a2', 'b2')",
            """
            BEGIN; SAVEPOINT s; ALTER TABLE t DROP COLUMN b; DELETE FROM t; CREATE TABLE n(x); ROLLBACK TO s;
            DELETE FROM t WHERE id = 1; COMMIT
            """
        )
        #expect(commits == [["t: delete @1 (1, 'a1', 'b1')"]])
    }

    @Test func `a table that is dropped and recreated is a new table`() throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'old')",
            "BEGIN; DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(2, 'new'); COMMIT"
        )
        #expect(commits == [["dropped table t", "created table t", "t: insert @2 → (2, 'new')"]])
    }

    @Test func `a virtual table is reported and its shadow tables are not`() throws {
        let commits = try Capture.lines(
            "CREATE VIRTUAL TABLE old USING fts5(x)",
            """
            CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES('hello'); INSERT INTO old VALUES('a');
            CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES(1, 2, 3); DROP TABLE f
            """
        )
        #expect(
            commits == [
                ["created virtual f"], ["f: changed"], ["old: changed"], ["created virtual r"], ["r: changed"],
                ["dropped virtual f"],
            ]
        )
    }
}
