import RandomSupport
import SQLiteConnection
import Testing

@testable import QueryService

struct ScriptOutlineTests {
    @Test(
        arguments: [
            ("", []), ("-- only; a comment", []), (";;", []), ("SELECT 1", [.read]), ("select 1;;", [.read]),
            ("BEGIN; INSERT INTO t VALUES (';'); COMMIT", [.transaction, .write, .transaction]),
            ("/* ; */ SELECT ';', \";\", [;], `;` ; PRAGMA x", [.read, .pragma]),
            (
                "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; SELECT 1",
                [.create, .read]
            ),
            ("CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; END", [.create]),
            ("CREATE TABLE trigger_(v); VACUUM", [.create, .vacuum]),
            ("SELECT 'it''s; fine'; END", [.read, .transaction]),
            ("\u{feff}SELECT 1", [.read]), ("SELECT /*", [.read]), ("SELECT '", [.read]),
            ("/*/ ; */ SELECT 1", [.read]),
        ] as [(String, [ScriptOutline.Verb])]
    )
    func `statements are told apart as SQLite does`(sql: String, verbs: [ScriptOutline.Verb]) {
        #expect(ScriptOutline(sql).verbs == verbs)
    }

    @Test func `it counts as many statements as SQLite compiles`() throws {
        var random = SeededGenerator.announced()
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let pieces = [
            "SELECT 1", ";", " ", "\n", "-- x; y\n", "/* ; */", "SELECT ';'", "SELECT \"a;\" FROM (SELECT 1 AS \"a;\")",
            "VALUES (1)",
            "EXPLAIN SELECT 1",
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
}
