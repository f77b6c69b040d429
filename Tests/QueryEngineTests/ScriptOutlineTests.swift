import RandomSupport
import SQLiteConnection
import Testing

@testable import QueryEngine

struct ScriptOutlineTests {
    @Test(
        arguments: [
            ("", []), ("-- only; a comment", []), (";;", []), ("SELECT 1", [.read]), ("select 1;;", [.read]),
            ("BEGIN; INSERT INTO t VALUES (';'); COMMIT", [.begin, .write, .end]),
            ("/* ; */ SELECT ';', \";\", [;], `;` ; PRAGMA x", [.read, .pragma]),
            (
                "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; SELECT 1",
                [.create, .read]
            ),
            ("CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; END", [.create]),
            ("CREATE TABLE trigger_(v); VACUUM", [.create, .vacuum]),
            ("SELECT 'it''s; fine'; END", [.read, .end]),
            ("\u{feff}SELECT 1", [.read]),
            (
                "ROLLBACK; ROLLBACK TRANSACTION TO a; ROLLBACK TO SAVEPOINT b; ROLLBACK",
                [.end, .savepoint, .savepoint, .end]
            ),
            ("WITH a AS (SELECT 1) DELETE FROM t; RELEASE a", [.unknown, .savepoint]), ("SELECT /*", [.read]),
            ("SELECT '", [.read]),
            ("/*/ ; */ SELECT 1", [.read]), ("SELECT 1 /*/ ; BEGIN; */; SELECT 2", [.read, .read]),
            ("EXPLAIN CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END; SELECT 1", [.read, .read]),
            ("EXPLAIN QUERY PLAN CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END;", [.read]),
            ("DELETE FROM t; SELECT $a(;BEGIN;)", [.write, .read]), ("SELECT :a::b(;END;), 1", [.read]),
            ("SELECT $a( ; BEGIN", [.read, .begin]), ("SELECT begin$; SELECT 1", [.read, .read]),
            ("SELECT 1; \u{feff}BEGIN", [.read, .begin]), ("DELETE FROM t; /*", [.write, .unknown]),
        ] as [(String, [ScriptOutline.Verb])]
    )
    func `statements are separated as SQLite does`(sql: String, verbs: [ScriptOutline.Verb]) {
        #expect(ScriptOutline(sql).verbs == verbs)
    }

    @Test func `it counts as many statements as SQLite compiles`() throws {
        var random = SeededGenerator.announced()
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute("CREATE TABLE t(v)")
        let pieces = [
            "SELECT 1", ";", " ", "\n", "-- x; y\n", "/* ; */", "SELECT ';'", "SELECT \"a;\" FROM (SELECT 1 AS \"a;\")",
            "VALUES (1)",
            "EXPLAIN SELECT 1", "SELECT 1 /*/ ; BEGIN; */", "SELECT $a(;BEGIN;)", "SELECT :a::b(;), @c",
            "SELECT ?1, $a",
            "EXPLAIN CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END",
            "EXPLAIN QUERY PLAN CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END", "\u{feff}", "/**/",
            "/***/",
            "SELECT x'ab' AS [;], `a``;` FROM (SELECT 1 AS \"a`;\")", "EXPLAIN DELETE FROM t -- ;", "SELECT 1e+5, 0x1f",
        ]
        for _ in 0..<500 {
            var sql = ""
            for _ in 0..<Int.random(in: 0..<6, using: &random) {
                sql += (pieces.randomElement(using: &random) ?? "") + (Bool.random(using: &random) ? ";" : "; ")
            }
            var script = Script(sql)
            var count = 0
            while let statement = try script.next(on: connection) { count += statement.columnCount > 0 ? 1 : 0 }
            #expect(ScriptOutline(sql).statementCount == count, "\(sql)")
        }
    }

    /// Each took minutes when it was scanned more than once.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ";", "CREATE TRIGGER;", "; END", ";/", ";/*", ";/**", ";--\n", "$a(", "$a::", "'", "[", "/*/", "$", ";$a(;",
            "a ",
            "EXPLAIN ", "CREATE TEMP ", "; ; ", "\u{feff}",
        ]
    )
    func `a megabyte of anything is looked at once`(piece: String) {
        for beginning in ["", "CREATE TRIGGER a BEGIN ", "EXPLAIN CREATE TRIGGER a BEGIN SELECT 1; "] {
            let sql = beginning + String(repeating: piece, count: 1_000_000 / piece.utf8.count)
            #expect(ScriptOutline(sql).statementCount <= 1_000_000)
            #expect(ScriptOutline.firstSignificantByte(of: sql, from: 0) <= sql.utf8.count)
        }
    }
}
