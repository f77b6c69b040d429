import QueryEngine
import SQLiteConnection
import Testing

struct PolicyTests {
    @Test(
        arguments: [
            ("ATTACH 'other.db' AS other", "ATTACH"),
            ("ATTACH '' AS other", "ATTACH"),
            ("DETACH main", "DETACH"),
            ("VACUUM INTO 'copy.db'", "VACUUM INTO"),
            ("PRAGMA writable_schema = ON", "writable_schema"),
            ("PRAGMA trusted_schema = ON", "trusted_schema"),
            ("PRAGMA query_only = OFF", "query_only"),
            ("PRAGMA busy_timeout = 0", "busy_timeout"),
            ("PRAGMA wal_autocheckpoint = 0", "wal_autocheckpoint"),
            ("PRAGMA hard_heap_limit = 0", "hard_heap_limit"),
            ("PRAGMA temp_store_directory = '/tmp'", "temp_store_directory"),
            ("PRAGMA mmap_size = 1000000", "mmap_size"),
            ("EXPLAIN PRAGMA writable_schema = ON", "writable_schema"),
            ("SELECT load_extension('x')", "load_extension"),
            ("SELECT fts3_tokenizer('simple')", "fts3_tokenizer"),
            ("CREATE VIRTUAL TABLE temp.x USING dbstat(main)", "dbstat"),
        ]
    )
    func `what reaches outside of the database is refused to administrators too`(sql: String, name: String) async throws
    {
        let harness = try Harness("CREATE TABLE t(v)")
        let failure = await harness.run(sql) { $0.policy = .admin }.end.failure
        #expect(failure?.code == .notAuthorized)
        #expect(failure?.message.contains(name) == true, "\(failure?.message ?? "it ran")")
    }

    @Test(
        arguments: [
            "INSERT INTO t VALUES (1)", "DELETE FROM t", "UPDATE t SET v = 1", "CREATE TABLE u(v)", "CREATE TABLE x(v)",
            "DROP TABLE t",
            "CREATE TEMP TABLE u(v)", "ALTER TABLE t ADD COLUMN w", "REINDEX", "ANALYZE",
            "PRAGMA user_version = 1", "PRAGMA foreign_keys = ON", "PRAGMA optimize", "SELECT 1; DELETE FROM t",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "BEGIN", "SAVEPOINT a",
            "BEGIN; SELECT 1; COMMIT",
        ]
    )
    func `a read-only policy refuses every write`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v UNIQUE)")
        #expect(await harness.run(sql) { $0.policy = .readOnly }.end.failure?.code == .readOnly)
    }

    @Test(
        arguments: [
            "SELECT * FROM t", "PRAGMA table_info(t)", "PRAGMA user_version", "EXPLAIN SELECT 1",
            "PRAGMA integrity_check",
            "SELECT * FROM pragma_table_info('t')", "SELECT name FROM sqlite_schema", "PRAGMA foreign_keys",
            "SELECT * FROM f WHERE f MATCH 'a'", "SELECT * FROM r", "EXPLAIN DELETE FROM t",
            "EXPLAIN QUERY PLAN UPDATE t SET v = 1",
            "SELECT 1; EXPLAIN INSERT INTO t VALUES (1)",
        ]
    )
    func `a read-only policy allows reading`(sql: String) async throws {
        let harness = try Harness(
            "CREATE TABLE t(v); CREATE VIRTUAL TABLE f USING fts5(a); CREATE VIRTUAL TABLE r USING rtree(a, b, c)"
        )
        let failure = await harness.run(sql) { $0.policy = .readOnly }.end.failure
        #expect(failure == nil, "\(failure?.message ?? "")")
    }

    @Test(
        arguments: [
            "VACUUM", "ANALYZE", "REINDEX", "PRAGMA user_version = 7", "PRAGMA optimize",
            "ALTER TABLE t RENAME COLUMN v TO w",
            "ALTER TABLE t DROP COLUMN x", "CREATE VIRTUAL TABLE f USING fts5(a)",
            "CREATE VIRTUAL TABLE r USING rtree(a,b,c)",
            "CREATE TABLE g(a, b AS (a+1))", "DROP TABLE t", "CREATE INDEX i ON t(v)", "PRAGMA incremental_vacuum",
        ]
    )
    func `a read-write policy allows the schema to be changed`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v, x)")
        #expect(await harness.run(sql).end.failure == nil)
    }

    @Test func `settings of the file are for administrators`() async throws {
        let harness = try Harness()
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)"
        #expect(await harness.run(checkpoint).end.failure?.code == .notAuthorized)
        #expect(await harness.run(checkpoint) { $0.policy = .admin }.end.failure == nil)
    }

    @Test(
        arguments: [
            "SELECT * FROM secret", "SELECT * FROM v", "SELECT (SELECT count(*) FROM secret)",
            "SELECT * FROM sqlite_schema",
            "PRAGMA table_info(secret)", "SELECT * FROM pragma_table_info('secret')", "PRAGMA table_list",
            "INSERT INTO open SELECT v FROM secret", "INSERT INTO log VALUES (1)", "DELETE FROM secret",
            "CREATE VIEW w AS SELECT * FROM secret", "CREATE TEMP TABLE w AS SELECT * FROM secret",
            "CREATE TABLE x(v)", "INSERT INTO trapped VALUES (1)", "UPDATE readable SET v = 1",
            "SELECT count(*) FROM secret",
            "WITH c AS (SELECT * FROM secret) SELECT count(*) FROM c", "SELECT count(*) FROM sqlite_master",
            "SELECT count(*) FROM pragma_table_list", "SELECT count(*) FROM dbstat",
            // SQLite does not call the authorizer for these columns.
            "SELECT v FROM open FULL JOIN secret USING (v)", "SELECT count(*) FROM open NATURAL JOIN secret",
            "INSERT INTO open SELECT v FROM readable FULL JOIN secret USING (v)",
            // Nor where it copies rows as they are.
            "INSERT INTO open SELECT * FROM secret", "INSERT INTO main.open SELECT * FROM main.secret",
            "EXPLAIN INSERT INTO open SELECT * FROM secret", "INSERT INTO copied VALUES (1)",
            "INSERT INTO open SELECT name FROM sqlite_sequence",
            "SELECT name FROM (SELECT 1 AS name) FULL JOIN sqlite_schema USING (name)",
        ]
    )
    func `a list of tables holds through views, triggers and subqueries`(sql: String) async throws {
        let harness = try Harness(
            """
            CREATE TABLE open(v); CREATE TABLE readable(v); CREATE TABLE secret(v); CREATE TABLE log(v); CREATE TABLE trapped(v);
            CREATE VIEW v AS SELECT * FROM secret;
            CREATE TRIGGER trap AFTER INSERT ON trapped BEGIN INSERT INTO log SELECT v FROM secret; END;
            CREATE TABLE copied(v); CREATE TRIGGER copy AFTER INSERT ON copied BEGIN INSERT INTO open SELECT * FROM secret; END;
            CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, v);
            """
        )
        let policy = SQLPolicy(
            level: .readWrite,
            readableTables: ["open", "READABLE", "trapped", "v", "copied", "counted"],
            writableTables: ["open", "trapped", "copied", "counted"]
        )
        for sql in ["INSERT INTO open SELECT * FROM readable", "INSERT INTO counted(v) SELECT v FROM readable"] {
            #expect(await harness.run(sql) { $0.policy = policy }.end.failure == nil)
        }
        #expect(await harness.run(sql) { $0.policy = policy }.end.failure?.code == .notAuthorized)
    }

    @Test(arguments: [true, false])
    func `a virtual table shows no table that is not in the list`(_ wasUsed: Bool) async throws {
        let harness = try Harness(
            """
            CREATE TABLE note(id INTEGER PRIMARY KEY, body); INSERT INTO note VALUES (1, 'word'), (2, 'other');
            CREATE VIRTUAL TABLE indexed USING fts5(body, content = 'note', content_rowid = 'id');
            CREATE VIRTUAL TABLE indexed4 USING fts4(content="note", body);
            CREATE VIRTUAL TABLE terms USING fts5vocab(own, row); CREATE VIRTUAL TABLE own USING fts5(body);
            CREATE VIRTUAL TABLE area USING rtree(id, low, high);
            INSERT INTO indexed(indexed) VALUES ('rebuild'); INSERT INTO own VALUES ('word'); INSERT INTO area VALUES (1, 2, 3);
            """
        )
        let tables = ["indexed", "indexed4", "terms", "own", "area"]
        // A module keeps its statements for the next client, whose rights it does not know.
        if wasUsed {
            for table in tables { #expect(await harness.run("SELECT * FROM \(table)").end.failure == nil) }
            #expect(await harness.run("INSERT INTO own VALUES ('x'); DELETE FROM area").end.failure == nil)
        }
        let expected: [TableNames: [String: Bool]] = [
            ["indexed", "indexed4", "terms", "area"]: [
                "indexed": false, "indexed4": false, "terms": false, "area": true,
            ],
            ["indexed", "indexed4", "note"]: ["indexed": true, "indexed4": true, "own": false],
            ["terms", "own"]: ["terms": true, "own": true, "indexed": false],
        ]
        for (list, results) in expected {
            let policy = SQLPolicy(level: .readWrite, readableTables: list, writableTables: list)
            for (table, isReadable) in results {
                for sql in ["SELECT * FROM \(table)", "SELECT count(*) FROM \(table)"] {
                    let end = await harness.run(sql) { $0.policy = policy }.end
                    #expect((end.failure == nil) == isReadable, "\(sql): \(end)")
                }
            }
        }
        let writer = SQLPolicy(level: .readWrite, readableTables: ["own", "area"], writableTables: ["own", "area"])
        for sql in ["INSERT INTO own VALUES ('y')", "DELETE FROM own", "INSERT INTO area VALUES (7, 1, 2)"] {
            #expect(await harness.run(sql) { $0.policy = writer }.end.failure == nil)
        }
        #expect(await harness.run("INSERT INTO own_config VALUES (1, 2)") { $0.policy = writer }.end.failure != nil)
    }

    @Test(
        arguments: [
            "WITH c AS (SELECT 1 AS x) SELECT count(*) FROM c", "WITH c AS (SELECT v FROM open) SELECT * FROM c",
            "SELECT count(*) FROM (SELECT v FROM open) AS s", "SELECT value FROM json_each('[1, 2]')",
            "SELECT count(*) FROM json_tree('[1, 2]')", "SELECT * FROM f WHERE f MATCH 'a'",
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION SELECT 2) SELECT n FROM c",
            "SELECT v FROM open JOIN open AS o USING (v)",
            "WITH c AS (SELECT 1 AS v) SELECT v FROM open NATURAL JOIN c",
        ]
    )
    func `a list of tables does not affect other objects`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE open(v); CREATE TABLE secret(v); CREATE VIRTUAL TABLE f USING fts5(a)")
        let readable: TableNames = ["open", "f", "f_data", "f_idx", "f_content", "f_docsize", "f_config"]
        let end = await harness.run(sql) { $0.policy = SQLPolicy(level: .readOnly, readableTables: readable) }.end
        #expect(end.outcome != nil, "\(end)")
    }

    @Test(
        arguments: [
            ("PRAGMA optimize", "the access is read-only: PRAGMA optimize is not allowed"),
            ("PRAGMA user_version = 1", "the access is read-only: PRAGMA user_version with a value is not allowed"),
        ]
    )
    func `a refused PRAGMA is called by what it does`(sql: String, message: String) async throws {
        let harness = try Harness()
        let failure = await harness.run(sql) { $0.policy = .readOnly }.end.failure
        #expect(failure?.message.hasPrefix(message) == true, "\(failure?.message ?? "")")
    }

    @Test func `a hostile schema gains nothing`() async throws {
        let harness = try Harness(
            """
            CREATE TABLE t(v);
            CREATE VIEW bad AS SELECT load_extension('x') AS v;
            CREATE VIEW old AS SELECT fts3_tokenizer('simple') AS v;
            CREATE TRIGGER evil AFTER INSERT ON t WHEN new.v = 1 BEGIN SELECT load_extension('x'); END;
            """
        )
        #expect(await harness.run("SELECT * FROM bad") { $0.policy = .admin }.end.failure?.code == .notAuthorized)
        #expect(await harness.run("SELECT * FROM old") { $0.policy = .admin }.end.failure?.code == .notAuthorized)
        #expect(await harness.run("INSERT INTO t VALUES (1)") { $0.policy = .admin }.end.failure != nil)
    }

    /// Escapes that need only the right to run a query.
    @Test(
        arguments: [
            // PRAGMAs as table-valued functions: those with an effect, and those that would set a value.
            "SELECT * FROM pragma_optimize", "SELECT count(*) FROM pragma_optimize(-1)",
            "SELECT 1 UNION ALL SELECT * FROM pragma_optimize",
            "SELECT * FROM pragma_hard_heap_limit(0)", "SELECT * FROM pragma_busy_timeout(0)",
            "SELECT * FROM pragma_writable_schema(1)", "SELECT * FROM pragma_wal_checkpoint",
            "SELECT * FROM pragma_temp_store_directory('/tmp')",
            // A file by another name.
            "VACUUM main INTO '/tmp/x.db'", "ATTACH ':memory:' AS a", "ATTACH 'file:x?mode=ro' AS a",
            "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'x')", "SELECT edit('x')",
            "SELECT * FROM fsdir('/')", "CREATE VIRTUAL TABLE z USING zipfile('/tmp/x')",
            "CREATE VIRTUAL TABLE c USING csv(filename = '/etc/passwd')",
            "CREATE VIRTUAL TABLE d USING sqlite_dbpage",
            "SELECT load_extension('/tmp/x.so', 'entry')", "SELECT fts3_tokenizer('simple', x'00')",
            // The schema and the library's own tables.
            "UPDATE sqlite_schema SET sql = ''", "INSERT INTO sqlite_dbpage(pgno, data) VALUES (1, x'00')",
            "PRAGMA main.writable_schema = 1", "PRAGMA \"writable_schema\"(1)", "PRAGMA writable_schema(RESET)",
            "DELETE FROM f_data", "DROP TABLE f_data",
            // From a trigger, a view, a generated column, a default, an index, a CHECK constraint.
            "CREATE TEMP TRIGGER s AFTER INSERT ON t BEGIN SELECT load_extension('x'); END; INSERT INTO t(v) VALUES (1)",
            "CREATE TEMP VIEW s AS SELECT load_extension('x') AS a; SELECT * FROM s",
            "CREATE TABLE s(a, b AS (load_extension(a))); INSERT INTO s(a) VALUES ('x'); SELECT b FROM s",
            "CREATE TABLE s(a DEFAULT (load_extension('x'))); INSERT INTO s DEFAULT VALUES",
            "CREATE INDEX s ON t(load_extension(v))",
            "CREATE TABLE s(a CHECK (load_extension(a))); INSERT INTO s VALUES ('x')",
        ]
    )
    func `a way out of the database is closed`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v); CREATE VIRTUAL TABLE f USING fts5(a)")
        let (end, log) = await harness.run(sql) {
            $0.policy = .admin
            $0.atomic = false
        }
        #expect(end.failure != nil, "\(log.rows)")
        #expect(log.columns.count <= 1 && !log.isBroken)
    }

    @Test func `a temporary trigger on a shared table is removed with its request`() async throws {
        let harness = try Harness("CREATE TABLE t(v); CREATE TABLE log(v)")
        let trigger = "CREATE TEMP TRIGGER spy AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.v); END"
        #expect(await harness.run("\(trigger); INSERT INTO t VALUES (1)").end.outcome != nil)
        await harness.run("INSERT INTO t VALUES (2)", client: "bob")
        await harness.run("INSERT INTO t VALUES (3)")
        #expect(try harness.database.query("SELECT v FROM log") == [[.integer(1)]])
    }

    /// Statements that try to use all memory, all time or the whole stack.
    @Test(
        arguments: [
            ("SELECT zeroblob(1e9)", QueryFailure.Code.tooBig), ("SELECT randomblob(1000000000)", .tooBig),
            ("SELECT hex(zeroblob(16000000))", .tooBig),
            ("SELECT replace(hex(zeroblob(8000)), '0', hex(zeroblob(8000)))", .tooBig),
            ("SELECT group_concat(hex(zeroblob(9000))) FROM c", .tooBig),
            ("SELECT json_group_array(hex(zeroblob(9000))) FROM c", nil),
            // NULL in some versions of SQLite.
            ("SELECT printf('%*c', 1000000000, 'x')", nil), ("SELECT printf('%.*c', 1000000000, 'x')", nil),
            ("SELECT 'x' LIKE hex(zeroblob(2000))", .sqlError), ("SELECT 'x' GLOB hex(zeroblob(2000))", .sqlError),
            ("SELECT \(String(repeating: "-(", count: 600))1\(String(repeating: ")", count: 600))", .sqlError),
            ("SELECT 1\(String(repeating: " + 1", count: 600))", .sqlError),
            ("SELECT 1\(String(repeating: " UNION ALL SELECT 1", count: 600))", .sqlError),
            ("SELECT json('\(String(repeating: "[", count: 100_000))')", .sqlError),
        ] as [(String, QueryFailure.Code?)]
    )
    func `a bomb comes to nothing`(sql: String, code: QueryFailure.Code?) async throws {
        let harness = try Harness(
            """
            CREATE VIEW c AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100000) SELECT n FROM c
            """
        )
        let (end, log) = await harness.run(sql)
        if let code { #expect(end.failure?.code == code) }
        #expect(end.failure != nil || log.rows == [[.null]])
        #expect(await harness.rows("SELECT 1") == [[.integer(1)]])
    }

    @Test func `views that double at every level end at SQLite's bound`() async throws {
        let views = (1...20).map {
            "CREATE VIEW v\($0) AS SELECT a FROM v\($0 - 1) UNION ALL SELECT a FROM v\($0 - 1);"
        }
        let harness = try Harness("CREATE TABLE v0(a);" + views.joined())
        #expect(await harness.run("SELECT count(*) FROM v20").end.failure != nil)
    }

    @Test func `a recursion without end is ended by its time limit`() async throws {
        let harness = try Harness()
        for sql in [endlessQuery, endlessQuery.replacing("UNION ALL", with: "UNION")] {
            #expect(await harness.run(sql) { $0.timeout = .milliseconds(100) }.end.cancelReason == .timeout)
        }
    }

    @Test func `the schema table and shadow tables cannot be written`() async throws {
        let harness = try Harness("CREATE VIRTUAL TABLE f USING fts5(a)")
        #expect(await harness.run("DELETE FROM sqlite_schema") { $0.policy = .admin }.end.failure != nil)
        #expect(await harness.run("DELETE FROM f_data") { $0.policy = .admin }.end.failure != nil)
    }

    @Test func `values, SQL and rows beyond the limits are errors`() async throws {
        let harness = try Harness {
            $0.limits.evaluation.maxValueBytes = 10_000
            $0.limits.evaluation.maxSQLBytes = 1_000
            $0.limits.maxRowBytes = 50
            $0.limits.batchBytes = 10
        }
        #expect(await harness.run("SELECT zeroblob(20000)").end.failure?.code == .tooBig)
        #expect(await harness.run("SELECT '\(String(repeating: "x", count: 1_000))'").end.failure?.code == .tooBig)
        let (end, log) = await harness.run("SELECT 1")
        #expect(end.failure?.code == .tooBig)
        #expect(log.rows == [], "it is not sent")
    }
}
