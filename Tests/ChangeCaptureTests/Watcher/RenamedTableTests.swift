import OracleSupport
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Transactions of another process of which only the outcome can be seen: a table that was renamed and altered is
/// distinguished from one that was dropped while another one was created in its place.
@Suite struct RenamedTableTests {
    static let journalModes = ["wal", "delete"]

    /// The lines of one transaction of another process.
    private func changes(_ setUp: String, journalMode: String = "wal", _ script: String) throws -> [String] {
        try reportedLines(setUp, journalMode: journalMode, script).flatMap(\.self)
    }

    @Test(
        arguments: [
            ("RENAME COLUMN a TO x; ALTER TABLE t RENAME TO u", "modified u was t columns 0,1,2"),
            ("RENAME TO u; ALTER TABLE u RENAME COLUMN a TO x", "modified u was t columns 0,1,2"),
            ("RENAME TO v; ALTER TABLE v RENAME TO u", "modified u was t"),
            (
                "RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO y; ALTER TABLE t RENAME TO u",
                "modified u was t columns 0,1,2"
            ),
            ("RENAME TO u; ALTER TABLE u ADD COLUMN c", "modified u was t columns 0,1,2,new"),
            (
                "RENAME TO u; ALTER TABLE u RENAME COLUMN b TO y; ALTER TABLE u ADD COLUMN c",
                "modified u was t columns 0,1,2,new"
            ),
            ("RENAME TO u; ALTER TABLE u DROP COLUMN a", "modified u was t columns 0,2"),
        ],
        journalModes
    )
    func `a table that is renamed and altered in one transaction is renamed`(
        _ alteration: (sql: String, line: String),
        _ journalMode: String
    ) throws {
        let setUp = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'x', 'y'), (2, 'z', NULL)"
        let lines = try changes(setUp, journalMode: journalMode, "ALTER TABLE t \(alteration.sql)")
        #expect(lines == [alteration.line])
    }

    @Test(
        arguments: [
            (
                "ADD COLUMN c DEFAULT -0.0; ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME TO u",
                "modified u was t columns 0,2,new"
            ),
            (
                "RENAME TO u; ALTER TABLE u ADD COLUMN v AS (b || 1); ALTER TABLE u DROP COLUMN a",
                "modified u was t columns 0,2,new"
            ),
            (
                "RENAME TO u; ALTER TABLE u RENAME COLUMN a TO x; ALTER TABLE u RENAME COLUMN b TO y; UPDATE u SET x = x",
                "modified u was t columns 0,1,2"
            ),
        ],
        journalModes
    )
    func `a table of which every row was written is renamed where a row kept its values`(
        _ alteration: (sql: String, line: String),
        _ journalMode: String
    ) throws {
        let setUp = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL); INSERT INTO t VALUES(1, 'x', 5), (2, 'z', NULL)"
        let lines = try changes(setUp, journalMode: journalMode, "ALTER TABLE t \(alteration.sql)")
        #expect(lines == [alteration.line])
    }

    @Test(arguments: journalModes)
    func `a table that takes the place of a dropped one with rows of other values is a new one`(
        _ journalMode: String
    ) throws {
        let lines = try changes(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'x', NULL)",
            journalMode: journalMode,
            "DROP TABLE t; CREATE TABLE u(id INTEGER PRIMARY KEY, b, c); INSERT INTO u VALUES(1, NULL, 'x')"
        )
        #expect(lines == ["dropped table t", "created table u", "u: insert @1 → (1, NULL, 'x')"])
    }

    @Test(arguments: journalModes)
    func `a table of which every row was written too is renamed where one that came later is still there`(
        _ journalMode: String
    ) throws {
        let lines = try changes(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'x', 'y');
            CREATE TABLE later(z); INSERT INTO later VALUES(1)
            """,
            journalMode: journalMode,
            """
            ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN c REAL; ALTER TABLE t RENAME TO u;
            ALTER TABLE u RENAME COLUMN a TO d; UPDATE u SET d = 'new'
            """
        )
        #expect(lines == ["modified u was t columns 0,1,new", "u: update @1 (1, 'x', NULL) → (1, 'new', NULL)"])
    }

    @Test(arguments: journalModes)
    func `tables that swap names and are altered are renamed`(_ journalMode: String) throws {
        let lines = try changes(
            """
            CREATE TABLE a(x, y); CREATE TABLE b(id INTEGER PRIMARY KEY, z); INSERT INTO a VALUES(1, 2), (3, 4);
            INSERT INTO b VALUES(7, 'b')
            """,
            journalMode: journalMode,
            """
            ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b;
            ALTER TABLE b RENAME COLUMN x TO w; ALTER TABLE a ADD COLUMN n; UPDATE b SET y = 5 WHERE w = 3
            """
        )
        #expect(
            lines.sorted() == [
                "b: update @2 (3, 4) → (3, 5)", "modified a was b columns 0,1,new", "modified b was a columns 0,1",
            ]
        )
    }

    @Test(arguments: [1, 2])
    func `a table that is renamed while another one is dropped keeps its rows where roots move`(_ autoVacuum: Int)
        throws
    {
        let lines = try changes(
            """
            PRAGMA auto_vacuum = \(autoVacuum); VACUUM; CREATE TABLE gone(x); CREATE TABLE t(a); INSERT INTO t VALUES(1), (2)
            """,
            "DROP TABLE gone; ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME COLUMN a TO b"
        )
        #expect(lines == ["dropped table gone", "modified u was t columns 0"])
    }

    @Test(
        arguments: [
            "CREATE TABLE u(id INTEGER PRIMARY KEY, total REAL)", "CREATE TABLE u(id INTEGER PRIMARY KEY, c, d, e)",
            "CREATE TABLE u(k TEXT PRIMARY KEY)", "CREATE TABLE u(p, q)",
        ],
        journalModes
    )
    func `a table in the place of one that was dropped is another one`(_ sql: String, _ journalMode: String) throws {
        let lines = try changes(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, a, b); INSERT INTO t VALUES(1, 'x', 2, 3)",
            journalMode: journalMode,
            "DROP TABLE t; \(sql); INSERT INTO u DEFAULT VALUES"
        )
        #expect(lines.prefix(2) == ["dropped table t", "created table u"])
    }

    @Test func `a view in the place of one that was dropped is another one`() throws {
        let lines = try changes(
            "CREATE TABLE t(a); CREATE VIEW v AS SELECT 1 AS x",
            "DROP VIEW v; CREATE VIEW w AS SELECT 2 AS y"
        )
        #expect(lines == ["dropped view v", "created view w"])
    }

    @Test(arguments: ["CREATE TABLE u(a)", "CREATE VIRTUAL TABLE u USING fts5(y)"])
    func `a virtual table can take the name of a table that is dropped`(_ dropped: String) throws {
        let lines = try changes(
            "CREATE VIRTUAL TABLE v USING fts5(x); INSERT INTO v VALUES('word'); \(dropped)",
            "DROP TABLE u; ALTER TABLE v RENAME TO u"
        )
        #expect(lines.first?.hasPrefix("dropped") == true)
        #expect(lines.dropFirst().first == "modified u was v columns 0,1,2")
    }

    @Test(arguments: journalModes)
    func `tables with the same SQL under each name, one of them empty, are renamed when they swap names`(
        _ journalMode: String
    ) throws {
        let lines = try changes(
            """
            CREATE TABLE u(a); CREATE TABLE v(a); INSERT INTO u VALUES(1), (2), (3);
            ALTER TABLE u RENAME TO "x y"; ALTER TABLE v RENAME TO "b c"
            """,
            journalMode: journalMode,
            #"ALTER TABLE "x y" RENAME TO s; ALTER TABLE "b c" RENAME TO "x y"; ALTER TABLE s RENAME TO "b c""#
        )
        #expect(lines.contains { $0.hasPrefix("modified b c was x y") }, "\(lines)")
        #expect(!lines.contains { $0.hasPrefix("dropped x y") }, "\(lines)")
    }

    // MARK: Columns

    @Test(arguments: journalModes)
    func `a column in the place of a virtual one of its name is new`(_ journalMode: String) throws {
        let lines = try changes(
            "CREATE TABLE t(a, v AS (a || '!')); INSERT INTO t VALUES('x'), ('y')",
            journalMode: journalMode,
            "ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN v DEFAULT 7; UPDATE t SET v = 8 WHERE a = 'x'"
        )
        #expect(lines == ["modified t columns 0,new", "t: update @1 ('x', 7) → ('x', 8)"])
    }

    @Test(
        arguments: [
            ("ALTER TABLE c ADD COLUMN z", "modified n columns 0,1,new,2,3,4"),
            ("ALTER TABLE c RENAME COLUMN y TO z", "modified n columns 0,1,2,3,4"),
            ("DROP TABLE c; CREATE TABLE c(q)", "modified n columns 0,2,3,4"),
            ("DROP TABLE c", "modified n columns "),
        ],
        journalModes
    )
    func `columns that a virtual table has of another one follow it`(
        _ alteration: (sql: String, line: String),
        _ journalMode: String
    ) throws {
        let lines = try changes(
            "CREATE TABLE c(x, y); CREATE VIRTUAL TABLE n USING fts4(content='c')",
            journalMode: journalMode,
            alteration.sql
        )
        #expect(lines.contains(alteration.line))
    }

    @Test func `columns that a view has of a table follow it`() throws {
        let lines = try changes("CREATE TABLE t(a, b); CREATE VIEW v AS SELECT * FROM t", "ALTER TABLE t ADD COLUMN c")
        #expect(lines == ["modified t columns 0,1,new", "modified v columns 0,1,new"])
    }
}
