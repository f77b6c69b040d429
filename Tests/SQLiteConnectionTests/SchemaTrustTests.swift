import SQLiteConnection
import Testing

struct SchemaTrustTests {
    @Test func `triggers that keep a full-text index work in a schema that is not trusted`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try EvaluationPolicy().apply(to: connection)
        try connection.execute(
            """
            CREATE TABLE t (id INTEGER PRIMARY KEY, x);
            CREATE VIRTUAL TABLE f USING fts5 (x, content = 't', content_rowid = 'id');
            CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO f (rowid, x) VALUES (new.id, new.x); END;
            CREATE VIEW v AS SELECT x ->> '$.a' AS a FROM t;
            INSERT INTO t (x) VALUES ('{"a": 5}');
            """
        )
        #expect(try connection.query("SELECT rowid FROM f ('a')") == [[.integer(1)]])
        #expect(try connection.query("SELECT a FROM v") == [[.integer(5)]])
    }
}
