import OracleSupport
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Rows of tables whose schema is not what its text, or another pragma, suggests.
@Suite struct ExactSchemaTests {
    static let journalModes = ["wal", "delete"]

    // MARK: Keys

    @Test(arguments: journalModes)
    func `a key that differs only on an overflow page is another row`(_ journalMode: String) throws {
        let lines = try reportedLines(
            """
            CREATE TABLE t(a, d, PRIMARY KEY(a, d)) WITHOUT ROWID;
            INSERT INTO t VALUES(printf('%.*c', 3000, 'x'), 3)
            """,
            journalMode: journalMode,
            "UPDATE t SET d = 10"
        )
        let key = String(repeating: "x", count: 3_000)
        #expect(lines == [["t: delete ('\(key)', 3)", "t: insert → ('\(key)', 10)"]])
    }

    // MARK: Added columns

    @Test(arguments: [#""active""#, "[active]", "`active`", "active", "'active'"], journalModes)
    func `rows older than a column have its default, however that is spelled`(
        _ spelling: String,
        _ journalMode: String
    ) throws {
        let lines = try reportedLines(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, u, w); INSERT INTO t VALUES(1, 1, 1), (2, 2, 2);
            ALTER TABLE t ADD COLUMN s TEXT NOT NULL DEFAULT \(spelling); CREATE TABLE n(x)
            """,
            journalMode: journalMode,
            "UPDATE t SET u = u WHERE id = 1; INSERT INTO n VALUES(1)",
            "ALTER TABLE t DROP COLUMN w",
            "DELETE FROM t WHERE id = 1",
            "UPDATE t SET u = 3"
        )
        #expect(
            lines == [
                ["n: insert @1 → (1)"], ["modified t columns 0,1,3"], ["t: delete @1 (1, 1, 'active')"],
                ["t: update @2 (2, 2, 'active') → (2, 3, 'active')"],
            ]
        )
    }

    @Test(arguments: ["", "UPDATE t SET u = 3;", "DELETE FROM t WHERE u = 2;"], journalModes)
    func `an added column that becomes the first one has its default in the rows before`(
        _ change: String,
        _ journalMode: String
    ) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(w, u); INSERT INTO t VALUES(1, 1), (2, 2)",
            journalMode: journalMode,
            """
            ALTER TABLE t ADD COLUMN s TEXT DEFAULT 1.50; ALTER TABLE t DROP COLUMN w; \(change)
            ALTER TABLE t ADD COLUMN r REAL DEFAULT 5; \(change)
            ALTER TABLE t DROP COLUMN u
            """,
            "UPDATE t SET s = s, r = 6"
        )
        let kept = change.hasPrefix("DELETE") ? 1...1 : 1...2
        let deleted = change.hasPrefix("DELETE") ? ["t: delete @2 ('1.50', 5.0)"] : []
        #expect(
            lines == [
                ["modified t columns new,new"] + deleted,
                kept.map { "t: update @\($0) ('1.50', 5.0) → ('1.50', 6.0)" },
            ]
        )
    }

    @Test(arguments: journalModes)
    func `a default that writable_schema edits changes the rows that read it`(_ journalMode: String) throws {
        let lines = try reportedLines(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES(1); ALTER TABLE t ADD COLUMN s DEFAULT 'old';
            INSERT INTO t VALUES(2, 'own')
            """,
            journalMode: journalMode,
            """
            PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'old', 'new') WHERE name = 't';
            PRAGMA writable_schema = OFF
            """
        )
        #expect(lines == [["modified t", "t: update @1 (1, 'old') → (1, 'new')"]])
    }

    @Test func `a table whose entry SQLite cannot read with its defaults omits its rows`() throws {
        let table = TableDescription(
            name: "t",
            kind: .table,
            sql: "CREATE TABLE t(this is no table",
            columns: ["a", "b"].map { Fixture.column($0, default: "1") },
            primaryKey: [],
            hasRowid: true,
            rowidAlias: nil
        )
        let records = try RecordReader(encoding: .utf8)
        let fields = RecordFields(ofRowidTable: table.columns)
        #expect(throws: SQLiteError.self) { try records.missingValues(table, fields) }
        // With another table it works again.
        var good = table
        good.sql = "CREATE TABLE t(a DEFAULT 1, b DEFAULT 1)"
        #expect(try records.missingValues(good, fields) == [.integer(1), .integer(1)])
    }

    @Test(arguments: journalModes)
    func `a table with a new STORED column was recreated`(_ journalMode: String) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(a); INSERT INTO t VALUES(1)",
            journalMode: journalMode,
            "DROP TABLE t; CREATE TABLE t(a, s AS (typeof(a)) STORED); INSERT INTO t VALUES(1)"
        )
        #expect(lines == [["dropped table t", "created table t", "t: insert @1 → (1, 'integer')"]])
    }

    // MARK: Virtual columns

    @Test(
        arguments: [
            (
                "ALTER TABLE t ADD COLUMN w AS (upper(a)); DELETE FROM t WHERE id = 1",
                "t: delete @1 (1, 'x', 'x!', 'X')"
            ),
            (
                "ALTER TABLE t RENAME COLUMN v TO vv; UPDATE t SET a = 'y' WHERE id = 1",
                "t: update @1 (1, 'x', 'x!') → (1, 'y', 'y!')"
            ),
            (
                "ALTER TABLE t RENAME COLUMN id TO key; UPDATE t SET a = 'y' WHERE key = 1",
                "t: update @1 (1, 'x', 'x!') → (1, 'y', 'y!')"
            ),
            (
                "ALTER TABLE t RENAME TO o; ALTER TABLE o ADD COLUMN n; DELETE FROM o WHERE id = 1",
                "o: delete @1 (1, 'x', 'x!', NULL)"
            ),
            ("ALTER TABLE t DROP COLUMN v; DELETE FROM t WHERE id = 1", "t: delete @1 (1, 'x')"),
        ],
        journalModes
    )
    func `virtual columns before a commit that alters the table are computed`(
        _ change: (sql: String, line: String),
        _ journalMode: String
    ) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, v AS (a || '!')); INSERT INTO t(id, a) VALUES(1, 'x'), (2, 'z')",
            journalMode: journalMode,
            change.sql
        )
        #expect(lines[0].dropFirst() == [change.line])
    }

    @Test(arguments: journalModes)
    func `virtual columns are computed where no name reaches the rowid`(_ journalMode: String) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(rowid, oid, _rowid_, v AS (rowid + oid)); INSERT INTO t VALUES(1, 2, 3)",
            journalMode: journalMode,
            "UPDATE t SET oid = 5"
        )
        #expect(lines == [["t: update @1 (1, 2, 3, 3) → (1, 5, 3, 6)"]])
    }

    @Test(arguments: journalModes)
    func `a redefined virtual column omits the rows, one that only moves does not`(
        _ journalMode: String
    ) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, v AS (a)); INSERT INTO t(id, a, b) VALUES(1, 2, 3)",
            journalMode: journalMode,
            "ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN v AS (b)",
            "ALTER TABLE t RENAME COLUMN b TO c; ALTER TABLE t ADD COLUMN w",
            """
            PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '(c)', '(a)') WHERE name = 't';
            PRAGMA writable_schema = OFF
            """
        )
        #expect(lines[0] == ["modified t", "t: changed"])
        #expect(lines[1] == ["modified t columns 0,1,2,3,new"])
        #expect(lines[2] == ["modified t", "t: changed"])
    }

    @Test(arguments: journalModes)
    func `a virtual column that cannot be computed is named, and the others are there`(_ journalMode: String) throws {
        // No statement can store a row for which one of its own columns cannot be computed.
        let database = try TemporaryDatabase(
            """
            CREATE TABLE t(a, j AS (upper(a)), k AS (a || '!')); INSERT INTO t VALUES('no json');
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = replace(sql, 'upper(a)', 'json_extract(a, ''$'')');
            """,
            journalMode: journalMode
        )
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute("DELETE FROM t")
        #expect(log.waitForTransactions(1))
        watcher.stop()
        guard case .rows(let rows)? = log.transactions.first?.changes.events.first else {
            Issue.record("no rows")
            return
        }
        #expect(rows.columnsOmitted == ["j"])
        #expect(rows.rows.first?.before?.values == [.text("no json"), .null, .text("no json!")])
    }

    // MARK: Keys

    @Test(arguments: journalModes)
    func `a key that names a column under two collations keeps its values apart`(_ journalMode: String) throws {
        let lines = try reportedLines(
            """
            CREATE TABLE t(a, b, c, PRIMARY KEY(a COLLATE NOCASE, a, c)) WITHOUT ROWID;
            INSERT INTO t VALUES('x', 1, 2), ('Y', 3, 4)
            """,
            journalMode: journalMode,
            "UPDATE t SET b = 9 WHERE a = 'x'",
            "DELETE FROM t WHERE a = 'Y'"
        )
        #expect(lines == [["t: update ('x', 1, 2) → ('x', 9, 2)"], ["t: delete ('Y', 3, 4)"]])
    }

    @Test(arguments: journalModes)
    func `a key that reads differently by an edited type is another row`(_ journalMode: String) throws {
        let lines = try reportedLines(
            "CREATE TABLE t(a REAL PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO t VALUES(5, 1), (2.5, 2)",
            journalMode: journalMode,
            """
            PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'REAL', 'TEXT') WHERE name = 't';
            PRAGMA writable_schema = RESET
            """
        )
        #expect(lines == [["modified t", "t: delete (5.0, 1)", "t: insert → (5, 1)"]])
    }

    // MARK: Shadow tables

    @Test(arguments: ["fts5(t, content='note_content')", "fts4(content='note_content')"], journalModes)
    func `a content table of the user is no shadow table`(_ module: String, _ journalMode: String) throws {
        let lines = try reportedLines(
            "CREATE TABLE note_content(t); CREATE VIRTUAL TABLE note USING \(module)",
            journalMode: journalMode,
            "INSERT INTO note_content VALUES('x')",
            "INSERT INTO note(rowid, t) VALUES(1, 'x')",
            "DROP TABLE note"
        )
        #expect(lines == [["note_content: insert @1 → ('x')"], ["note: changed"], ["dropped virtual note"]])
    }

    @Test func `a trigger is of its table in whatever case it names it`() throws {
        let lines = try reportedLines(
            "CREATE TABLE t(a)",
            journalMode: "wal",
            "CREATE TRIGGER r AFTER INSERT ON T BEGIN SELECT 1; END"
        )
        #expect(lines == [["modified t added trigger r"]])
    }

    // MARK: Order of application

    @Test(arguments: journalModes)
    func `tables that swap names are renamed as one set, before other modifications`(_ journalMode: String) throws {
        let lines = try reportedLines(
            """
            CREATE TABLE a(x); CREATE TABLE b(y); CREATE TABLE m(z); CREATE TABLE gone(q);
            INSERT INTO a VALUES(1); INSERT INTO b VALUES(2)
            """,
            journalMode: journalMode,
            """
            ALTER TABLE m ADD COLUMN n; DROP TABLE gone; CREATE TABLE new(k); CREATE INDEX i ON m(z);
            ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b; UPDATE a SET y = 3
            """
        )
        #expect(lines[0].first == "dropped table gone")
        #expect(Set(lines[0][1...2]) == ["modified a was b", "modified b was a"])
        #expect(
            lines[0][3...] == [
                "modified m columns 0,new added index i", "created table new", "a: update @1 (2) → (3)",
            ]
        )
    }

    @Test(arguments: journalModes)
    func `an index whose name another table had is added after that one lost it`(_ journalMode: String) throws {
        let lines = try reportedLines(
            "CREATE TABLE a(x); CREATE TABLE b(y); CREATE INDEX i ON a(x); CREATE INDEX j ON b(y)",
            journalMode: journalMode,
            "DROP INDEX i; DROP INDEX j; CREATE INDEX i ON b(y); CREATE INDEX j ON a(x)"
        )
        #expect(
            lines == [
                [
                    "modified a removed index i", "modified b removed index j", "modified a added index j",
                    "modified b added index i",
                ]
            ]
        )
    }
}
