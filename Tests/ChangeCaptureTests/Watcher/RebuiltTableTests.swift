import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The reports of transactions of which only the outcome is visible: recreated tables, tables that were altered several
/// times, and tables that a module keeps in tables of its own.
@Suite struct RebuiltTableTests {
    private static let journalModes = ["wal", "delete"]

    // MARK: Virtual tables

    @Test(arguments: [("fts5(x)", "'word'"), ("fts4(x)", "'word'"), ("rtree(x, low, high)", "1, 2, 3")], journalModes)
    func `a change of a virtual table is published and its shadow tables are not`(
        module: (definition: String, values: String),
        journalMode: String
    ) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(a); CREATE VIRTUAL TABLE v USING \(module.definition)",
            journalMode: journalMode,
            "INSERT INTO v VALUES(\(module.values)); INSERT INTO t VALUES(1)",
            "UPDATE t SET a = 2",
            "DELETE FROM v",
            "DROP TABLE v"
        )
        #expect(
            lines == [
                ["t: insert @1 → (1)", "v: changed"], ["t: update @1 (1) → (2)"], ["v: changed"], ["dropped virtual v"],
            ]
        )
    }

    @Test func `a created virtual table is reported with rows only when it has some`() throws {
        let lines = try reportedLines(
            "CREATE TABLE t(a)",
            "CREATE VIRTUAL TABLE v USING fts5(x)",
            "CREATE VIRTUAL TABLE w USING fts5(x); INSERT INTO w VALUES('word')",
            "ALTER TABLE w RENAME TO u; INSERT INTO u VALUES('word')"
        )
        #expect(lines[0] == ["created virtual v"])
        #expect(lines[1] == ["created virtual w", "w: changed"])
        #expect(lines[2].last == "u: changed")
    }

    // MARK: Other keys

    @Test(
        arguments: [
            ("k TEXT PRIMARY KEY, v) WITHOUT ROWID", "id INTEGER PRIMARY KEY, v)"),
            ("k TEXT PRIMARY KEY, v) WITHOUT ROWID", "j BLOB PRIMARY KEY, v) WITHOUT ROWID"),
            ("k TEXT PRIMARY KEY, v) WITHOUT ROWID", "k TEXT, v)"),
            ("k TEXT PRIMARY KEY, v) WITHOUT ROWID", "k TEXT, v, PRIMARY KEY(v, k)) WITHOUT ROWID"),
            ("k TEXT PRIMARY KEY, v)", "id INTEGER PRIMARY KEY, v)"),
            ("k INTEGER PRIMARY KEY, v)", "k INT PRIMARY KEY, v)"),
            ("k, v)", "j TEXT PRIMARY KEY, v) WITHOUT ROWID"),
        ],
        journalModes
    )
    func `a table recreated with another key is a new table`(
        tables: (old: String, new: String),
        journalMode: String
    ) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(\(tables.old); INSERT INTO t VALUES(1, 'x'), (2, 'y')",
            journalMode: journalMode,
            """
            CREATE TABLE n(\(tables.new); INSERT INTO n SELECT * FROM t;
            DROP TABLE t; ALTER TABLE n RENAME TO t
            """
        )
        #expect(lines[0].prefix(2) == ["dropped table t", "created table t"])
        #expect(lines[0].count == 4 && lines[0].dropFirst(2).allSatisfy { $0.hasPrefix("t: insert") })
    }

    @Test func `a recreated table with the same key is reported by the rows that differ`() throws {
        let lines = try reportedLines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'x'), (2, 'y')",
            """
            CREATE TABLE n(id INTEGER PRIMARY KEY, v, w); INSERT INTO n(id, v) SELECT * FROM t;
            UPDATE n SET v = 'z' WHERE id = 2; DROP TABLE t; ALTER TABLE n RENAME TO t
            """
        )
        #expect(lines == [["modified t columns 0,1,new", "t: update @2 (2, 'y', NULL) → (2, 'z', NULL)"]])
    }

    // MARK: Several alterations

    @Test(
        arguments: [
            ("RENAME COLUMN a TO \"A\"", "0,1,2,new", "'x', 'y', NULL", "'x', 9, NULL"),
            ("RENAME COLUMN a TO z", "0,1,2,new", "'x', 'y', NULL", "'x', 9, NULL"),
            ("DROP COLUMN a", "0,2,new", "'y', NULL", "9, NULL"),
        ],
        journalModes
    )
    func `rows that are equal after several alterations are not published`(
        alteration: (sql: String, columns: String, before: String, after: String),
        journalMode: String
    ) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b); INSERT INTO t VALUES(1, 'x', 'y'), (2, 'z', 3)",
            journalMode: journalMode,
            "ALTER TABLE t \(alteration.sql); ALTER TABLE t ADD COLUMN n; UPDATE t SET b = 9 WHERE id = 1"
        )
        #expect(
            lines == [
                [
                    "modified t columns \(alteration.columns)",
                    "t: update @1 (1, \(alteration.before)) → (1, \(alteration.after))",
                ]
            ]
        )
    }

    @Test func `a key column that is renamed together with another alteration keeps its rows`() throws {
        let lines = try reportedLines(
            "CREATE TABLE t(k TEXT PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO t VALUES('a', 1), ('b', 2)",
            "ALTER TABLE t RENAME COLUMN k TO z; ALTER TABLE t ADD COLUMN n; UPDATE t SET b = 9 WHERE z = 'a'"
        )
        #expect(lines == [["modified t columns 0,1,new", "t: update ('a', 1, NULL) → ('a', 9, NULL)"]])
    }

    @Test func `a table that is renamed and gets a column is the same table`() throws {
        let lines = try reportedLines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'x')",
            "ALTER TABLE t RENAME TO u; ALTER TABLE u ADD COLUMN n"
        )
        #expect(lines == [["modified u was t columns 0,1,new"]])
    }
}
