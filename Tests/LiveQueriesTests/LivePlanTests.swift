import ChangeCapture
import SQLiteConnection
import Testing

@testable import LiveQueries

@Suite struct LivePlanTests {
    private func plan(_ request: LiveQueryRequest) throws -> LivePlan {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        defer { connection.close() }
        try connection.execute(
            """
            CREATE TABLE a(id INTEGER PRIMARY KEY, x, y TEXT COLLATE NOCASE);
            CREATE TABLE b(id INTEGER PRIMARY KEY, aid, z);
            CREATE TABLE d(k1 TEXT, k2 INT, e, PRIMARY KEY(k1, k2)) WITHOUT ROWID;
            CREATE VIEW now_view AS SELECT id, date('now') AS today FROM a;
            CREATE VIEW v AS SELECT id FROM a;
            CREATE VIEW now_text AS SELECT id, 'Now' AS moment FROM a;
            CREATE VIRTUAL TABLE f USING fts5(body);
            CREATE VIRTUAL TABLE words USING fts5vocab(f, 'row');
            CREATE VIEW content AS SELECT id, z FROM b;
            CREATE VIRTUAL TABLE outside USING fts5(z, content = 'content', content_rowid = 'id');
            """
        )
        let schema = try SchemaSnapshot.load(from: connection)
        return try QueryCompiler(connection, schema: schema, limits: LiveLimits()).plan(request)
    }

    private func plan(_ sql: String) throws -> LivePlan { try plan(LiveQueryRequest(sql: sql)) }

    @Test(
        arguments: [
            "SELECT * FROM a", "SELECT id, x || 'y' AS from_it FROM a WHERE x > 1;",
            "SELECT a.x FROM a, b WHERE a.id = b.aid",
            "SELECT a.x, b.z FROM main.a LEFT OUTER JOIN b ON b.aid = a.id", "SELECT a.x IS NOT DISTINCT FROM 1 FROM a",
            "SELECT p.id FROM a AS p JOIN a q USING (id)",
            "SELECT max(x, id) FROM a", "SELECT x FROM a NOT INDEXED", "SELECT e FROM d WHERE k1 = 'where'",
            "SELECT date(x) FROM a", "SELECT rowid, * FROM a -- GROUP BY x",
        ]
    )
    func `filters, projections and joins are found from changed rows`(_ sql: String) throws {
        let plan = try plan(sql)
        #expect(plan.kind == .rows, "\(plan.rerunReason ?? "")")
    }

    @Test(
        arguments: [
            ("SELECT x, count(*) FROM a GROUP BY x", 1), ("SELECT DISTINCT x, y FROM a", 2),
            ("SELECT DISTINCT * FROM a", 3),
            ("SELECT upper(y) AS u, sum(x) FROM a GROUP BY u HAVING sum(x) > 1", 1),
            ("SELECT y, x FROM a GROUP BY 2, 1", 2),
        ]
    )
    func `groups are evaluated one by one`(_ sql: String, _ keys: Int) throws {
        let plan = try plan(sql)
        #expect(plan.kind == .groups)
        #expect(plan.core?.groups.count == keys)
    }

    @Test(
        arguments: [
            ("SELECT count(*) FROM a", 0), ("SELECT Count(x), \"sum\"(id), sum(x) FROM a WHERE id > 1", 2),
            ("SELECT x, count(*), sum(id + 1) FROM a GROUP BY x", 1), ("SELECT count() FROM a GROUP BY x, id % 3", 0),
        ]
    )
    func `counts and sums follow from the changed rows`(_ sql: String, _ arguments: Int) throws {
        let plan = try plan(sql)
        #expect(plan.kind == .groups)
        #expect(plan.core?.running?.arguments.count == arguments)
    }

    @Test(
        arguments: [
            "SELECT x, min(id) FROM a GROUP BY x", "SELECT x, sum(id) FROM a GROUP BY x HAVING count(*) > 1",
            "SELECT x, id, count(*) FROM a GROUP BY x", "SELECT x, count(DISTINCT id) FROM a GROUP BY x",
            "SELECT DISTINCT x FROM a",
        ]
    )
    func `groups of other columns are evaluated again`(_ sql: String) throws {
        let plan = try plan(sql)
        #expect(plan.kind == .groups)
        #expect(plan.core?.running == nil)
    }

    @Test(
        arguments: [
            "SELECT x FROM a ORDER BY x", "SELECT x FROM a LIMIT 1", "SELECT max(x) FROM a", "SELECT id FROM v",
            "SELECT id FROM a UNION SELECT id FROM b", "WITH t AS (SELECT 1) SELECT * FROM t",
            "SELECT (SELECT 1) FROM a",
            "SELECT row_number() OVER () FROM a", "SELECT * FROM a FULL JOIN b ON 1",
            "SELECT * FROM json_each('[1]'), a", "SELECT count(DISTINCT x) FROM a", "SELECT count(*) + 1 FROM a",
            "SELECT sum(x) FILTER (WHERE id > 1) FROM a", "SELECT count(*) FROM a HAVING count(*) > 1",
            "SELECT total(x) FROM a", "SELECT x, count(*) FROM a",
        ]
    )
    func `everything else runs as a whole, with the reason`(_ sql: String) throws {
        let plan = try plan(sql)
        #expect(plan.kind == .rerun)
        #expect(plan.rerunReason != nil)
    }

    @Test(
        arguments: [
            ("SELECT random() FROM a", "random()"), ("SELECT date('now') FROM a", "date('now')"),
            ("SELECT CURRENT_TIMESTAMP FROM a", "CURRENT_TIMESTAMP"), ("SELECT unixepoch() FROM a", "unixepoch("),
            ("SELECT strftime('%s') FROM a", "strftime("), ("SELECT * FROM now_view", "date('now')"),
            ("SELECT changes() FROM a", "changes()"), ("SELECT 1; SELECT 2", "one statement"),
            ("DELETE FROM a", "SELECT"),
            ("PRAGMA user_version", "SELECT"), ("EXPLAIN SELECT 1", "SELECT"), ("BEGIN", "SELECT"),
            ("SELECT * FROM pragma_table_list", "pragma_table_list"), ("SELECT * FROM sqlite_temp_master", "temporary"),
            ("SELECT date('no' || 'w') FROM a", "date('no' || 'w')"),
            ("SELECT date(x'4E6f77') FROM a", "date(x'4E6f77')"),
            ("SELECT date(y) FROM (SELECT 'now' AS y)", "'now'"), ("SELECT date(moment) FROM now_text", "'now'"),
            ("SELECT date(coalesce(x, 'now')) FROM a", "date('now')"), ("SELECT time() FROM a", "time()"),
            ("SELECT name FROM sqlite_schema", "sqlite_master"),
            ("SELECT count(*) FROM sqlite_master", "sqlite_master"),
            ("SELECT name FROM dbstat", "dbstat"), ("SELECT count(*) FROM dbstat", "no statement has created"),
        ]
    )
    func `SQL that cannot be followed is refused with what is wrong`(_ sql: String, _ part: String) throws {
        let refusal = #expect(throws: LiveRefusal.self) { try plan(sql) }
        #expect(refusal?.code == .notLive)
        #expect(refusal?.reason.contains(part) == true, "\(refusal?.reason ?? "")")
    }

    @Test(
        arguments: [
            ("SELECT date(?) FROM a", SQLiteValue.text("NOW")), ("SELECT strftime('%f', :t) FROM a", .text("now")),
            ("SELECT date(? || 'w') FROM a", .text("no")), ("SELECT date(?) FROM a", .blob(Array("now".utf8))),
            ("SELECT date(y) FROM (SELECT ? AS y)", .text("now")), ("SELECT date(iif(x, x, ?)) FROM a", .text("now")),
        ]
    )
    func `the current time is refused as a parameter`(_ sql: String, _ value: SQLiteValue) throws {
        let refusal = #expect(throws: LiveRefusal.self) {
            try plan(LiveQueryRequest(sql: sql, parameters: .positional([value])))
        }
        #expect(refusal?.code == .notLive)
        #expect(refusal?.reason.contains("time as a parameter") == true, "\(refusal?.reason ?? "")")
        _ = try plan(LiveQueryRequest(sql: sql, parameters: .positional([.text("2026-01-01")])))
    }

    @Test(
        arguments: [
            "SELECT datetime(x / 1000, 'unixepoch') FROM a", "SELECT date('2026-' || '01-01') FROM a",
            "SELECT date(x) FROM a WHERE y IS NOT 'now'", "SELECT date((SELECT max(x) FROM a))",
            "SELECT strftime('%Y', x) FROM a", "SELECT date(max(x)) FROM a", "SELECT date(value) FROM json_each('[1]')",
        ]
    )
    func `a date of a column is not refused`(_ sql: String) throws { _ = try plan(sql) }

    @Test(
        arguments: [
            ("SELECT term FROM words", ["words", "f"]), ("SELECT z FROM outside", ["outside", "b"]),
            ("SELECT count(*) FROM outside", ["outside", "b"]), ("SELECT body FROM f", ["f"]),
        ]
    )
    func `what a virtual table reads is followed`(_ sql: String, _ tables: [String]) throws {
        let plan = try plan(sql)
        #expect(Set(plan.dependencies.keys.map(\.string)) == Set(tables))
        #expect(plan.views.map(\.string) == (tables.contains("b") ? ["content"] : []))
    }

    @Test func `an error of the SQL contains its position`() throws {
        let refusal = #expect(throws: LiveRefusal.self) { try plan("SELECT x, nope FROM a") }
        #expect(refusal?.code == .sqlError)
        #expect(refusal?.offset == 10)
    }

    @Test func `rights are checked for every table, also for those of USING`() throws {
        let rights = LiveRights(identity: "a", concealment: "not among the allowed tables") { $0 == "a" }
        for sql in ["SELECT z FROM b", "SELECT a.x FROM a JOIN b USING (id)", "SELECT count(*) FROM b"] {
            let refusal = #expect(throws: LiveRefusal.self) { try plan(LiveQueryRequest(sql: sql, rights: rights)) }
            #expect(refusal?.code == .notAuthorized)
        }
        // SQLite does not call the authorizer for b here, because none of its columns is named.
        let hidden = "WITH g(z) AS (VALUES ('secret')) SELECT g.z FROM b JOIN g USING (z)"
        #expect(throws: LiveRefusal.self) { try plan(LiveQueryRequest(sql: hidden, rights: rights)) }
        // A name reveals nothing of the tables that exist.
        for sql in [
            "SELECT x FROM a", "WITH g AS (SELECT id FROM a) SELECT count(*) FROM g",
            "WITH b AS (SELECT 1) SELECT count(*) FROM b",
        ] {
            _ = try plan(LiveQueryRequest(sql: sql, rights: rights))
        }
    }

    @Test func `the key is that of all tables, where the result has it`() throws {
        #expect(try plan("SELECT x, id FROM a").key == [1])
        #expect(try plan("SELECT * FROM a").key == [0])
        #expect(try plan("SELECT a.*, b.id FROM a JOIN b").key == [0, 3])
        #expect(try plan("SELECT k2, k1 FROM d").key == [1, 0])
        #expect(try plan("SELECT a.x, b.id FROM a JOIN b").key == nil)
        #expect(try plan("SELECT id + 1 FROM a").key == nil)
        #expect(try plan("SELECT count(*), y FROM a GROUP BY y").key == [1])
    }

    @Test func `a key that the client names is proved or checked`() throws {
        let proved = try plan(LiveQueryRequest(sql: "SELECT id, x FROM a", key: ["id"]))
        #expect(proved.kind == .rows && proved.key == [0] && !proved.mustCheckKey)
        let checked = try plan(LiveQueryRequest(sql: "SELECT id, x FROM a", key: ["x"]))
        #expect(checked.kind == .rerun && checked.key == [1] && checked.mustCheckKey)
        #expect(throws: LiveRefusal.self) { try plan(LiveQueryRequest(sql: "SELECT id FROM a", key: ["nope"])) }
    }

    @Test func `parameters of every form are numbered as SQLite numbers them`() throws {
        let plan = try plan(
            LiveQueryRequest(
                sql: "SELECT :one, ?, ?5, @two, :one FROM a WHERE x = $three",
                parameters: .positional((1...7).map { .integer(Int64($0)) })
            )
        )
        #expect(plan.sql == "SELECT ?1, ?2, ?5, ?6, ?1 FROM a WHERE x = ?7")
        let refusal = #expect(throws: LiveRefusal.self) {
            try self.plan(LiveQueryRequest(sql: "SELECT ? FROM a", parameters: .positional([])))
        }
        #expect(refusal?.code == .sqlError)
    }

    @Test func `only the columns that are read count`() throws {
        let plan = try plan("SELECT x FROM a WHERE id > 1")
        #expect(plan.dependencies[SQLName("a")]?.columns == [0, 1])
        #expect(try self.plan("SELECT count(*) FROM a").dependencies[SQLName("a")]?.columns == [])
    }
}
