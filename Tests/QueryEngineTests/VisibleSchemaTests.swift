import QueryEngine
import SQLiteConnection
import Testing

/// A client with a list of tables learns nothing of the others from errors: it receives the errors of a database
/// without them.
struct VisibleSchemaTests {
    private static let visible = """
        CREATE TABLE open(id INTEGER PRIMARY KEY, v UNIQUE, w AS (v + 1));
        CREATE INDEX open_w ON open(w);
        CREATE TABLE other(v, PRIMARY KEY(v)) WITHOUT ROWID;
        CREATE VIEW shown AS SELECT v FROM open;
        CREATE VIRTUAL TABLE f USING fts5(a);
        INSERT INTO open(v) VALUES (1), (2);
        """
    private static let hidden = """
        CREATE TABLE canary(canary, v, id); CREATE INDEX canary_i ON canary(canary); CREATE VIEW canary_view AS SELECT 1 AS canary;
        CREATE TRIGGER canary_trigger AFTER INSERT ON canary BEGIN SELECT 1; END;
        CREATE VIRTUAL TABLE canary_f USING fts5(canary);
        CREATE TABLE canary_twin(v, PRIMARY KEY(v)) WITHOUT ROWID; INSERT INTO canary_twin VALUES (8);
        CREATE TABLE canary_sequence(id INTEGER PRIMARY KEY AUTOINCREMENT); ANALYZE;
        """
    private static func policy(_ level: SQLPolicy.Level) -> SQLPolicy {
        SQLPolicy(
            level: level,
            readableTables: ["open", "other", "shown", "f", "f_data", "f_idx", "f_content", "f_docsize", "f_config"],
            writableTables: ["open", "other"]
        )
    }

    /// `T` is a table and `C` a column.
    static let statements = [
        "SELECT * FROM T", "SELECT C FROM T", "SELECT count(*) FROM T", "SELECT T.C FROM open", "SELECT T.C FROM T",
        "SELECT C FROM open, T", "SELECT * FROM open JOIN T USING (C)", "SELECT * FROM open NATURAL JOIN T",
        "SELECT * FROM open LEFT JOIN T ON C = 1", "SELECT (SELECT C FROM T)", "SELECT * FROM open WHERE v IN T",
        "SELECT * FROM open WHERE EXISTS (SELECT C FROM T)", "SELECT T FROM open", "SELECT \"T\" FROM open",
        "SELECT * FROM main.T", "SELECT * FROM temp.T", "SELECT * FROM T.T", "SELECT T(1)", "SELECT * FROM T(1)",
        "SELECT * FROM open INDEXED BY T_i", "SELECT * FROM open INDEXED BY T", "SELECT * FROM T INDEXED BY T_i",
        "WITH T AS (SELECT 1 AS C) SELECT * FROM T", "WITH T AS (SELECT 1 AS C) SELECT count(*) FROM T",
        "WITH T_i AS (SELECT 1 AS C) SELECT count(*) FROM T_i", "WITH T AS (SELECT 1 AS C) SELECT count(*) FROM T, f",
        "WITH T AS (SELECT 1 AS C) SELECT count(*) FROM T, shown", "SELECT count(*) FROM T, (SELECT 1 AS C) AS T_i",
        "WITH T AS (SELECT 1 AS C) SELECT (SELECT count(*) FROM T), (SELECT count(*) FROM main.T)",
        "SELECT EXISTS (WITH T AS (SELECT 1 AS C) SELECT 1 FROM T), count(*) FROM T",
        "WITH x AS (SELECT C FROM T) SELECT * FROM x",
        "SELECT C FROM open UNION SELECT C FROM T", "SELECT C FROM open ORDER BY (SELECT C FROM T)", "SELECT C FORM T",
        "INSERT INTO T VALUES (1)", "INSERT INTO T VALUES (1, 2, 3, 4, 5, 6)", "INSERT INTO T(C) VALUES (1, 2)",
        "INSERT INTO T DEFAULT VALUES", "INSERT INTO open(v) SELECT C FROM T", "REPLACE INTO T(C) VALUES (1)",
        "INSERT INTO open(v) VALUES (1) ON CONFLICT(C) DO NOTHING",
        "INSERT INTO T VALUES (1) ON CONFLICT(C) DO NOTHING",
        "INSERT INTO open(v) VALUES (7) RETURNING C", "INSERT INTO open(v) VALUES ((SELECT C FROM T))",
        "UPDATE T SET C = 1", "UPDATE open SET C = 1 FROM T", "UPDATE open SET v = (SELECT C FROM T)",
        "UPDATE shown SET C = 1",
        "INSERT INTO open SELECT * FROM T", "INSERT INTO other SELECT * FROM T",
        "REPLACE INTO other SELECT * FROM main.T",
        "EXPLAIN INSERT INTO other SELECT * FROM T",
        "DELETE FROM T", "DELETE FROM T WHERE C = 1", "DELETE FROM open WHERE v IN (SELECT C FROM T)",
        "DROP TABLE T", "DROP TABLE IF EXISTS T", "DROP VIEW T", "DROP VIEW T_view", "DROP INDEX T_i",
        "DROP TRIGGER T_trigger",
        "CREATE TABLE T(a)", "CREATE TABLE IF NOT EXISTS T(a)", "CREATE VIEW T AS SELECT 1",
        "CREATE INDEX T ON open(v)",
        "CREATE INDEX T_i ON open(v)", "CREATE INDEX IF NOT EXISTS T_i ON open(v)", "CREATE INDEX z ON T(C)",
        "CREATE TRIGGER T_trigger AFTER INSERT ON open BEGIN SELECT 1; END",
        "CREATE TRIGGER z AFTER INSERT ON T BEGIN SELECT 1; END",
        "CREATE TRIGGER z AFTER UPDATE OF C ON T BEGIN SELECT 1; END",
        "CREATE TRIGGER z INSTEAD OF INSERT ON T BEGIN SELECT 1; END", "CREATE VIRTUAL TABLE T USING fts5(a)",
        "CREATE VIRTUAL TABLE z USING fts5(a, content = 'T')", "CREATE VIRTUAL TABLE IF NOT EXISTS T USING fts5(a)",
        "CREATE VIRTUAL TABLE z USING T(a)", "CREATE TEMP TABLE T(a)", "CREATE TEMP TABLE z AS SELECT C FROM T",
        "CREATE TEMP VIEW T AS SELECT 1", "CREATE TEMP TRIGGER z AFTER INSERT ON T BEGIN SELECT 1; END",
        "ALTER TABLE T RENAME TO z", "ALTER TABLE open RENAME TO T", "ALTER TABLE T ADD COLUMN C",
        "ALTER TABLE T DROP COLUMN C",
        "ALTER TABLE T RENAME COLUMN C TO z", "ALTER TABLE open RENAME COLUMN v TO C", "REINDEX T", "REINDEX T_i",
        "REINDEX",
        "ANALYZE T", "ANALYZE T_i", "ANALYZE", "VACUUM T", "PRAGMA table_info(T)", "PRAGMA table_xinfo(T)",
        "PRAGMA index_list(T)",
        "PRAGMA foreign_key_list(T)", "PRAGMA index_info(T_i)", "PRAGMA index_xinfo(T_i)",
        "PRAGMA foreign_key_check(T)",
        "PRAGMA integrity_check(T)", "PRAGMA optimize(-1)", "PRAGMA T", "PRAGMA T = 1",
        "SELECT * FROM pragma_table_info('T')",
        "SELECT * FROM pragma_foreign_key_list('open')", "SELECT * FROM sqlite_sequence", "SELECT * FROM sqlite_stat1",
        "SELECT * FROM sqlite_schema", "SELECT * FROM sqlite_temp_schema",
        "SELECT sql FROM sqlite_master WHERE name = 'T'",
        "EXPLAIN SELECT * FROM T", "EXPLAIN QUERY PLAN SELECT C FROM T", "EXPLAIN DELETE FROM T",
        "SELECT 1; SELECT C FROM T", "SELECT 1; INSERT INTO T(C) VALUES (1); SELECT 2",
        "INSERT INTO open(v) VALUES (9); SELECT * FROM T",
        "ATTACH 'T' AS z", "DETACH T", "SAVEPOINT T; RELEASE T", "SELECT * FROM f WHERE f MATCH 'T: x'",
        "SELECT * FROM f('C: x')",
    ]

    private struct Answer: Equatable {
        var code: QueryFailure.Code?
        var message: String?
        var offset: Int?
        var sqliteCode: Int32?
        var statementIndex: Int?
        var rows: [[SQLiteValue]]
    }

    private func answer(
        _ harness: Harness,
        _ sql: String,
        _ level: SQLPolicy.Level = .readWrite
    ) async -> Answer {
        let (end, log) = await harness.run(sql) { $0.policy = Self.policy(level) }
        let failure = end.failure
        return Answer(
            code: failure?.code,
            message: failure?.message,
            offset: failure?.offset,
            sqliteCode: failure?.sqliteCode,
            statementIndex: failure?.statementIndex,
            // The code of EXPLAIN contains page numbers.
            rows: sql.hasPrefix("EXPLAIN") ? [] : log.rows
        )
    }

    @Test(arguments: [SQLPolicy.Level.readOnly, .readWrite])
    func `every answer is that of a database without the other tables`(_ level: SQLPolicy.Level) async throws {
        let whole = try Harness(Self.visible + Self.hidden)
        let bare = try Harness(Self.visible)
        var failures = 0
        var compared = 0
        for statement in Self.statements {
            for table in ["open", "shown", "other", "canary", "canary_view", "canary_f", "canary_twin", "nothing"] {
                for column in statement.contains("C") ? ["v", "w", "canary", "nothing"] : ["v"] {
                    let text = Self.filled(statement, table: table, column: column)
                    let (seen, expected) = (await answer(whole, text, level), await answer(bare, text, level))
                    #expect(seen == expected, "\(text)")
                    compared += 1
                    if seen.code != nil { failures += 1 }
                }
            }
        }
        #expect(failures > 1_000 && compared - failures > 50, "\(failures) of \(compared) failed")
    }

    /// The template with `T` and `C` replaced where they are not part of a keyword.
    private static func filled(_ template: String, table: String, column: String) -> String {
        var result = ""
        let characters = Array(template)
        for (index, character) in characters.enumerated() {
            let before = index > 0 ? characters[index - 1] : " "
            let after = index + 1 < characters.count ? characters[index + 1] : " "
            let isAlone = !before.isLetter && !after.isLetter
            switch character {
            case "T" where isAlone: result += table
            case "C" where isAlone: result += column
            default: result.append(character)
            }
        }
        return result
    }

    @Test(
        arguments: [
            "SELECT * FROM peek", "SELECT nothing FROM peek", "INSERT INTO open(v) VALUES (5)", "DELETE FROM parent",
            "SELECT * FROM broken",
            "INSERT INTO child VALUES (1)", "SELECT a FROM f",
        ]
    )
    func `what reaches further names nothing of it`(sql: String) async throws {
        let harness = try Harness(
            """
            CREATE TABLE canary(canary); CREATE TABLE open(v); CREATE TABLE parent(id INTEGER PRIMARY KEY);
            CREATE VIEW peek AS SELECT canary AS v FROM canary; CREATE VIEW broken AS SELECT * FROM canary_gone;
            CREATE TRIGGER t AFTER INSERT ON open BEGIN INSERT INTO canary VALUES (new.v); END;
            CREATE TABLE canary_child(p REFERENCES parent); CREATE TABLE child(p REFERENCES canary(canary));
            CREATE VIRTUAL TABLE f USING fts5(a, content = 'canary');
            """
        ) { $0.enforcesForeignKeys = true }
        let names: TableNames = [
            "peek", "open", "parent", "broken", "child", "f", "f_data", "f_idx", "f_docsize", "f_config",
        ]
        let policy = SQLPolicy(level: .readWrite, readableTables: names, writableTables: names)
        let failure = await harness.run(sql) { $0.policy = policy }.end.failure
        #expect(failure != nil)
        #expect(failure?.message.contains("canary") == false, "\(failure?.message ?? "")")
    }

    @Test func `errors in the client's own tables are reported with their position`() async throws {
        let harness = try Harness(Self.visible + Self.hidden)
        let failure = await answer(harness, "SELECT 1; SELECT vv FROM open")
        #expect(failure.message == "no such column: vv")
        #expect((failure.code, failure.offset, failure.statementIndex) == (.sqlError, 17, 1))
        let table = await answer(harness, "SELECT * FROM canary")
        #expect(table.code == .notAuthorized)
        #expect(table.message == "no table canary is among the allowed ones (no such table: canary)")
    }
}
