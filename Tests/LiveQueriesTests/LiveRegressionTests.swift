import LiveOracleSupport
import LiveQueries
import Testing

/// Known faults of other engines that keep query results up to date.
@Suite struct LiveRegressionTests {
    private func check(
        _ sql: String,
        _ setUp: [String],
        isIncremental: Bool = true,
        isOrdered: Bool = false,
        isOpen: Bool = false,
        _ transactions: [String]...
    ) throws {
        let numbered = transactions.enumerated().map { ["INSERT INTO ledger VALUES(\($0 + 1))"] + $1 }
        let script = LiveScript(
            setUp: setUp + ["CREATE TABLE ledger(n INTEGER PRIMARY KEY)"],
            queries: [
                OracleQuery(
                    kind: .filter,
                    sql: sql,
                    mustBeIncremental: isIncremental,
                    isOpen: isOpen,
                    isOrdered: isOrdered
                )
            ],
            transactions: numbered
        )
        var options = LiveOracle.Options()
        options.resumes = false
        let figures = try LiveOracle(script, seed: 1, options: options).run()
        #expect(figures.checks >= transactions.count)
    }

    private let people = [
        "CREATE TABLE p(id INTEGER PRIMARY KEY, team, name TEXT, n INT)",
        "INSERT INTO p VALUES(1, 'a', 'Ada', 1), (2, 'a', 'Bob', 2), (3, 'b', 'Cy', 3)",
    ]

    private let family = [
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x)", "CREATE TABLE b(id INTEGER PRIMARY KEY, aid INT, z)",
        "CREATE TABLE c(id INTEGER PRIMARY KEY, aid INT, w)", "INSERT INTO a VALUES(1, 'one'), (2, 'two')",
    ]

    @Test(
        arguments: [
            "SELECT id FROM p WHERE name = 'ada'", "SELECT name, count(*) FROM p GROUP BY name",
            "SELECT DISTINCT name FROM p",
            "SELECT count(*) FROM p WHERE name = 'ada'",
        ]
    )
    func `a table with another collation gives other results`(_ sql: String) throws {
        try check(
            sql,
            [
                "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE)",
                "INSERT INTO p VALUES(1, 'ADA'), (2, 'ada'), (3, 'b')",
            ],
            [
                "CREATE TABLE q(id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO q SELECT * FROM p", "DROP TABLE p",
                "ALTER TABLE q RENAME TO p",
            ],
            ["INSERT INTO p VALUES(9, 'Ada')"]
        )
    }

    @Test(arguments: ["SELECT * FROM e", "SELECT \"\" FROM e", "SELECT b FROM e WHERE \"\" > 1"])
    func `a column without a name is followed`(_ sql: String) throws {
        try check(
            sql,
            ["CREATE TABLE e(\"\" INT, b)", "INSERT INTO e VALUES(1, 'a'), (2, 'b')"],
            ["UPDATE e SET \"\" = 5 WHERE b = 'a'"],
            ["UPDATE e SET \"\" = 0"]
        )
    }

    @Test(
        arguments: [
            "SELECT * FROM f", "SELECT count(*) FROM f", "SELECT rowid, body FROM f WHERE f MATCH 'word'",
            "SELECT * FROM r",
            "SELECT id FROM r WHERE low > 1", "SELECT count(*) FROM r JOIN p ON p.id = r.id",
        ]
    )
    func `virtual tables are followed`(_ sql: String) throws {
        try check(
            sql,
            people + [
                "CREATE VIRTUAL TABLE f USING fts5(body)", "CREATE VIRTUAL TABLE r USING rtree(id, low, high)",
                "INSERT INTO f VALUES('a word')", "INSERT INTO r VALUES(1, 1, 2)",
            ],
            isIncremental: false,
            ["INSERT INTO f VALUES('word two'), ('other')", "INSERT INTO r VALUES(2, 5, 6)"],
            ["UPDATE f SET body = 'none'", "UPDATE r SET low = 0, high = 9"],
            ["DELETE FROM f", "DELETE FROM r"]
        )
    }

    @Test(
        arguments: [
            "SELECT * FROM words", "SELECT * FROM outside", "SELECT rowid, name FROM viewed", "SELECT name FROM old",
            "SELECT term, documents FROM old_words",
        ]
    )
    func `what virtual tables read is followed`(_ sql: String) throws {
        try check(
            sql,
            people + [
                "CREATE VIRTUAL TABLE f USING fts5(body)", "CREATE VIRTUAL TABLE words USING fts5vocab(f, 'row')",
                "CREATE VIRTUAL TABLE outside USING fts5(name, content = 'p', content_rowid = 'id')",
                "CREATE VIEW pv AS SELECT id, name FROM p",
                "CREATE VIRTUAL TABLE viewed USING fts5(name, content = 'pv', content_rowid = 'id')",
                "CREATE VIRTUAL TABLE old USING fts4(name, content='p')",
                "CREATE VIRTUAL TABLE old_words USING fts4aux('old')",
            ],
            isIncremental: false,
            ["INSERT INTO f VALUES('word two')", "INSERT INTO old(docid, name) VALUES(1, 'Ada')"],
            ["UPDATE p SET name = 'Zed' WHERE id = 2"],
            ["DELETE FROM p WHERE id = 3", "INSERT INTO old(docid, name) VALUES(2, 'Zed')"],
            ["DELETE FROM f"]
        )
    }

    @Test func `a group that is emptied and filled again`() throws {
        try check(
            "SELECT team, count(*), sum(n) FROM p GROUP BY team",
            people,
            ["DELETE FROM p WHERE team = 'b'"],
            ["INSERT INTO p VALUES(9, 'b', 'Dee', 4)"],
            ["DELETE FROM p", "INSERT INTO p VALUES(1, 'b', 'E', 5)"]
        )
    }

    @Test func `keys that Swift's strings treat as equal are different rows`() throws {
        try check(
            "SELECT k, n FROM t WHERE n > 0",
            ["CREATE TABLE t(k TEXT PRIMARY KEY, n INT) WITHOUT ROWID"],
            ["INSERT INTO t VALUES('caf\u{e9}', 1), ('cafe\u{301}', 2)"],
            ["UPDATE t SET n = n + 1"],
            ["UPDATE t SET n = 0 WHERE k = 'cafe\u{301}'", "UPDATE t SET n = 9 WHERE k = 'caf\u{e9}'"]
        )
    }

    @Test func `all rows are counted without being read again`() throws {
        try check(
            "SELECT count(*), count(n), sum(n) FROM p",
            people,
            ["UPDATE p SET n = NULL WHERE id = 1", "INSERT INTO p VALUES(4, 'c', 'D', -9)"],
            ["DELETE FROM p WHERE n IS NOT NULL"],
            ["DELETE FROM p"],
            ["INSERT INTO p VALUES(5, 'c', 'D', 9223372036854775807), (6, 'c', 'D', -1)"],
            ["UPDATE p SET team = 'z'"]
        )
    }

    @Test(
        arguments: [
            ("SELECT count(*), sum(n) FROM p", false), ("SELECT team, sum(n) FROM p GROUP BY team", true),
            ("SELECT sum(n), count(*) FROM p GROUP BY team", true),
        ]
    )
    func `a sum with a REAL is evaluated again`(_ sql: String, _ isIncremental: Bool) throws {
        try check(
            sql,
            people,
            isIncremental: isIncremental,
            ["UPDATE p SET n = 0.5 WHERE id = 1"],
            ["UPDATE p SET n = n + 1"],
            ["UPDATE p SET n = 'text' WHERE id = 2"],
            ["UPDATE p SET n = id"],
            ["DELETE FROM p WHERE id = 1"]
        )
    }

    @Test func `a group of equal numbers shows one that it has`() throws {
        let numbers = [
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, i INT)", "INSERT INTO t VALUES(1, 1, 1), (2, 1.0, 1.0)",
        ]
        for column in ["a", "i", "a COLLATE NOCASE"] {
            try check(
                "SELECT \(column), count(*) FROM t GROUP BY \(column)",
                numbers,
                ["DELETE FROM t WHERE id = 1"],
                ["INSERT INTO t VALUES(3, 1, '1')"],
                ["DELETE FROM t WHERE id = 2"],
                ["UPDATE t SET a = 'A', i = 'A'", "INSERT INTO t VALUES(4, 'a', 'a')"],
                ["DELETE FROM t WHERE id = 3"]
            )
        }
    }

    @Test func `the number of a column within an expression groups as SQLite does`() throws {
        for key in ["(1)", "+1", "1 COLLATE NOCASE"] {
            try check(
                "SELECT team, count(*) FROM p GROUP BY \(key)",
                people,
                isIncremental: false,
                ["INSERT INTO p VALUES(4, 'c', 'D', 4)"],
                ["DELETE FROM p WHERE team = 'a'"]
            )
        }
    }

    @Test func `constants that differ in case are different expressions`() throws {
        try check(
            "SELECT team || 'A', count(*) FROM p GROUP BY team || 'a'",
            people,
            ["INSERT INTO p VALUES(4, 'c', 'D', 4)"],
            ["DELETE FROM p WHERE team = 'a'"]
        )
    }

    @Test func `the union of a table with itself`() throws {
        try check(
            "SELECT id, n FROM p UNION ALL SELECT id, n FROM p",
            people,
            isIncremental: false,
            ["UPDATE p SET n = 7 WHERE id = 1"],
            ["DELETE FROM p WHERE id = 2"]
        )
    }

    @Test func `a join keeps the other of two children`() throws {
        try check(
            "SELECT a.x, b.z FROM a JOIN b ON b.aid = a.id",
            family,
            ["INSERT INTO b VALUES(1, 1, 'same'), (2, 1, 'same')"],
            ["DELETE FROM b WHERE id = 1"],
            ["UPDATE a SET x = 'uno' WHERE id = 1", "INSERT INTO b VALUES(3, 1, 'same')"]
        )
    }

    @Test func `both sides of a join change in one commit and count once`() throws {
        try check(
            "SELECT sum(p.n * q.n) FROM p JOIN p AS q ON q.team = p.team GROUP BY p.team",
            people,
            ["UPDATE p SET n = n + 1"],
            ["INSERT INTO p VALUES(4, 'a', 'D', 4), (5, 'b', 'E', 5)", "DELETE FROM p WHERE id = 1"]
        )
    }

    @Test func `the last of the first rows leaves`() throws {
        try check(
            "SELECT id, n FROM p ORDER BY n, id LIMIT 2",
            people,
            isIncremental: false,
            isOrdered: true,
            ["DELETE FROM p WHERE id = 2"],
            ["UPDATE p SET n = 9 WHERE id = 1"],
            ["INSERT INTO p VALUES(7, 'x', 'X', 0)"]
        )
    }

    @Test func `equal sort keys keep their order by the next one`() throws {
        try check(
            "SELECT name, team FROM p ORDER BY team, name",
            people,
            isIncremental: false,
            isOrdered: true,
            ["UPDATE p SET team = 'a'"],
            ["INSERT INTO p VALUES(4, 'a', 'Ada', 0)"],
            ["DELETE FROM p WHERE id = 1"]
        )
    }

    @Test func `two unique values are swapped`() throws {
        try check(
            "SELECT id, u FROM t WHERE u > 0",
            ["CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE)", "INSERT INTO t VALUES(1, 10), (2, 20)"],
            ["UPDATE t SET u = -u", "UPDATE t SET u = CASE u WHEN -10 THEN 20 ELSE 10 END"]
        )
    }

    @Test func `NULL and the empty text are different groups`() throws {
        try check(
            "SELECT team, count(*) FROM p GROUP BY team",
            people,
            ["UPDATE p SET team = NULL WHERE id = 1"],
            ["UPDATE p SET team = '' WHERE id = 2"],
            ["UPDATE p SET team = '' WHERE id = 1"]
        )
    }

    @Test func `an integer and a real that compare equal are one group`() throws {
        try check(
            "SELECT v, count(*) FROM t GROUP BY v",
            [
                "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
                "INSERT INTO t VALUES(1, 1), (2, 1.0), (3, 9007199254740993)",
            ],
            isOpen: true,
            ["DELETE FROM t WHERE id = 1"],
            ["INSERT INTO t VALUES(4, 1), (5, 9007199254740992.0)"],
            ["DELETE FROM t WHERE id = 2"]
        )
    }

    @Test func `a second left join reaches its row past an empty first one`() throws {
        try check(
            "SELECT a.x, b.z, c.w FROM a LEFT JOIN b ON b.aid = a.id LEFT JOIN c ON c.aid = a.id",
            family,
            ["INSERT INTO c VALUES(1, 1, 'c')"],
            ["INSERT INTO b VALUES(1, 1, 'b')"],
            ["DELETE FROM b"],
            ["UPDATE c SET w = 'changed'"],
            ["UPDATE c SET aid = 2"]
        )
    }

    @Test func `a left join twice of one table`() throws {
        try check(
            "SELECT a.x, p.z, q.z FROM a LEFT JOIN b p ON p.aid = a.id AND p.z = 1 LEFT JOIN b q ON q.aid = a.id AND q.z = 2",
            family,
            ["INSERT INTO b VALUES(1, 1, 2)"],
            ["UPDATE b SET z = 1"],
            ["INSERT INTO b VALUES(2, 1, 2), (3, 2, 1)"]
        )
    }

    @Test func `the columns of USING count although SQLite does not ask about them`() throws {
        try check(
            "SELECT c.w FROM b JOIN c USING (aid)",
            family + ["INSERT INTO c VALUES(1, 1, 'c')", "INSERT INTO b VALUES(1, 2, 'b')"],
            ["UPDATE b SET aid = 1"],
            ["UPDATE b SET z = 'other'"],
            ["UPDATE c SET aid = 2"]
        )
    }

    @Test func `the columns of USING within a subquery count as well`() throws {
        try check(
            "SELECT count(*) FROM (SELECT c.w FROM b JOIN c USING (aid))",
            family + ["INSERT INTO c VALUES(1, 1, 'c')", "INSERT INTO b VALUES(1, 2, 'b')"],
            isIncremental: false,
            ["UPDATE b SET aid = 1"],
            ["DELETE FROM b"]
        )
    }

    @Test func `a table that is dropped and made again under its name`() throws {
        try check(
            "SELECT * FROM p",
            people,
            ["DROP TABLE p", "CREATE TABLE p(id INTEGER PRIMARY KEY, other)", "INSERT INTO p VALUES(1, 'x')"],
            ["INSERT INTO p VALUES(2, 'y')"]
        )
    }

    @Test func `rows that get other rowids`() throws {
        try check(
            "SELECT name FROM p WHERE n < 3",
            people,
            ["UPDATE p SET id = id + 100"],
            ["DELETE FROM p WHERE id > 101"]
        )
    }
}
