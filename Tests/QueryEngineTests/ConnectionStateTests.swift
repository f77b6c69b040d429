import QueryEngine
import SQLiteConnection
import Testing

/// State that a request leaves on the writer's connection: it works within the request or the client's transaction, and
/// is refused where nothing could use it.
struct ConnectionStateTests {
    private static let schema =
        "CREATE TABLE t(v); CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)"

    static let temporary = [
        "CREATE TEMP TABLE x(a)", "CREATE TEMPORARY TABLE x AS SELECT 1 AS a", "CREATE TABLE temp.x(a UNIQUE)",
        "CREATE TEMP VIEW x AS SELECT v FROM t", "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
    ]
    static let settings = [
        "analysis_limit = 10", "automatic_index = 0", "defer_foreign_keys = 1", "foreign_keys = 1",
        "ignore_check_constraints = 1", "journal_size_limit = 1000", "legacy_alter_table = 1", "recursive_triggers = 1",
        "reverse_unordered_selects = 1", "secure_delete = 0", "synchronous = 0", "auto_vacuum = 2", "page_size = 8192",
        "recursive_triggers(1)", "main.synchronous = OFF",
    ]

    private func run(_ harness: Harness, _ sql: String, atomic: Bool = true) async -> RecordingSink.End {
        await harness.run(sql) {
            $0.policy = .admin
            $0.atomic = atomic
        }.end
    }

    @Test(arguments: temporary + settings.map { "PRAGMA \($0)" })
    func `what nothing could make use of is refused and has no effect`(sql: String) async throws {
        let harness = try Harness(Self.schema)
        for script in [sql, "SELECT 1; \(sql)", "\(sql) ; -- the end"] {
            let failure = await run(harness, script, atomic: false).failure
            #expect(failure?.code == .notAuthorized, "\(script)")
            #expect(failure?.message.contains("lasts until the end of the request or transaction") == true)
        }
        #expect(await run(harness, "BEGIN IMMEDIATE; SELECT * FROM x; COMMIT").failure?.message == "no such table: x")
    }

    @Test(arguments: settings.filter { !$0.contains("synchronous") }.map { "PRAGMA \($0)" })
    func `a setting ahead of other statements works and is gone afterwards`(sql: String) async throws {
        let harness = try Harness(Self.schema)
        let name = sql.dropFirst(7).prefix { $0.isLetter || $0 == "_" }
        let read = "PRAGMA \(name)"
        let before = await harness.rows(read)
        // The INSERT makes the writer run the whole script.
        let (end, log) = await harness.run("\(sql); INSERT INTO t VALUES (1); \(read)") {
            $0.policy = .admin
            $0.atomic = false
        }
        #expect(end.outcome != nil, "\(end)")
        // The first two need VACUUM, and the third ends with the transaction.
        if !["auto_vacuum", "page_size", "defer_foreign_keys"].contains(String(name)) {
            #expect(log.rows.last != before.first)
        }
        let after = await harness.run("INSERT INTO t VALUES (2); \(read)", client: "bob").log.rows
        #expect(after == before)
    }

    @Test(arguments: temporary)
    func `a temporary object serves the rest of its script`(sql: String) async throws {
        let harness = try Harness(Self.schema)
        #expect(await run(harness, "\(sql); SELECT count(*) FROM sqlite_temp_schema").outcome != nil)
        #expect(await run(harness, "BEGIN").outcome != nil)
        #expect(await run(harness, sql).outcome != nil)
        #expect(await harness.rows("SELECT count(*) > 0 FROM sqlite_temp_schema") == [[.integer(1)]])
        #expect(await run(harness, "COMMIT").outcome != nil)
        let left = await harness.run("INSERT INTO t VALUES (1); SELECT count(*) FROM sqlite_temp_schema", client: "bob")
        #expect(left.log.rows == [[.integer(0)]])
    }

    @Test func `a temporary table never lets the next request reach the table of its name`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1)")
        #expect(await run(harness, "CREATE TEMP TABLE t(v)").failure?.code == .notAuthorized)
        #expect(await run(harness, "CREATE TEMP TABLE t(v); DELETE FROM t; SELECT 1").outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.integer(1)]])
    }

    @Test(arguments: ["foreign_keys = ON", "page_size = 8192", "auto_vacuum = 1"])
    func `a setting that SQLite ignores within a transaction is refused there`(setting: String) async throws {
        let harness = try Harness(Self.schema)
        let failure = await run(harness, "PRAGMA \(setting); INSERT INTO c VALUES (1)").failure
        #expect(failure?.code == .notAuthorized)
        #expect(failure?.message.contains("has no effect within a transaction") == true)
        #expect(failure?.message.contains("atomic: false") == true)
        #expect(await run(harness, "BEGIN").outcome != nil)
        #expect(await run(harness, "PRAGMA \(setting)").failure?.code == .notAuthorized)
    }

    @Test func `foreign keys that a script switches on are enforced in it`() async throws {
        let harness = try Harness(Self.schema)
        let script = "PRAGMA foreign_keys = ON; INSERT INTO c VALUES (1)"
        #expect(await run(harness, script, atomic: false).failure?.code == .constraint)
        #expect(await run(harness, "INSERT INTO c VALUES (1)").outcome != nil)
    }

    @Test func `the page size comes with the VACUUM of its request and with no other`() async throws {
        let harness = try Harness(Self.schema, journalMode: "DELETE")
        #expect(await run(harness, "PRAGMA page_size = 8192; SELECT 1", atomic: false).outcome != nil)
        #expect(await run(harness, "VACUUM").outcome != nil)
        #expect(try harness.database.query("PRAGMA page_size") == [[.integer(4096)]])
        #expect(await run(harness, "PRAGMA page_size = 8192; VACUUM", atomic: false).outcome != nil)
        #expect(try harness.database.query("PRAGMA page_size") == [[.integer(8192)]])
    }

    @Test(arguments: ["memory", "OFF", "truncate", "persist"])
    func `a journal mode that would not last is refused`(mode: String) async throws {
        let harness = try Harness(journalMode: "DELETE")
        let failure = await run(harness, "PRAGMA journal_mode = \(mode)").failure
        #expect(failure?.code == .notAuthorized)
        #expect(
            failure?.message
                == "PRAGMA journal_mode = \(mode) is not stored in the file; use delete or wal (not authorized)"
        )
    }

    @Test func `EXPLAIN of a temporary table makes none, and is answered`() async throws {
        let harness = try Harness()
        #expect(await run(harness, "EXPLAIN CREATE TEMP TABLE x(a)").outcome != nil)
    }
}
