import QueryService
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
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "EXPLAIN DELETE FROM t",
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
            "SELECT * FROM f WHERE f MATCH 'a'", "SELECT * FROM r",
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
        ]
    )
    func `a list of tables holds through views, triggers and subqueries`(sql: String) async throws {
        let harness = try Harness(
            """
            CREATE TABLE open(v); CREATE TABLE readable(v); CREATE TABLE secret(v); CREATE TABLE log(v); CREATE TABLE trapped(v);
            CREATE VIEW v AS SELECT * FROM secret;
            CREATE TRIGGER trap AFTER INSERT ON trapped BEGIN INSERT INTO log SELECT v FROM secret; END;
            """
        )
        let policy = SQLPolicy(
            level: .readWrite,
            readableTables: ["open", "READABLE", "trapped", "v"],
            writableTables: ["open", "trapped"]
        )
        #expect(await harness.run("INSERT INTO open SELECT * FROM readable") { $0.policy = policy }.end.failure == nil)
        #expect(await harness.run(sql) { $0.policy = policy }.end.failure?.code == .notAuthorized)
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
        #expect(await harness.run("SELECT * FROM bad") { $0.policy = .admin }.end.failure != nil)
        #expect(await harness.run("SELECT * FROM old") { $0.policy = .admin }.end.failure != nil)
        #expect(await harness.run("INSERT INTO t VALUES (1)") { $0.policy = .admin }.end.failure != nil)
    }

    @Test func `the schema table and shadow tables cannot be written`() async throws {
        let harness = try Harness("CREATE VIRTUAL TABLE f USING fts5(a)")
        #expect(await harness.run("DELETE FROM sqlite_schema") { $0.policy = .admin }.end.failure != nil)
        #expect(await harness.run("DELETE FROM f_data") { $0.policy = .admin }.end.failure != nil)
    }

    @Test func `values, SQL and rows beyond the limits are errors`() async throws {
        let harness = try Harness {
            $0.limits.maxValueBytes = 10_000
            $0.limits.maxSQLBytes = 1_000
            $0.limits.maxRowBytes = 50
            $0.limits.batchBytes = 10
        }
        #expect(await harness.run("SELECT zeroblob(20000)").end.failure?.code == .tooBig)
        #expect(await harness.run("SELECT '\(String(repeating: "x", count: 1_000))'").end.failure?.code == .tooBig)
        #expect(await harness.run("SELECT 1").end.failure?.code == .tooBig)
    }
}
