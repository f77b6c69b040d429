import SQLiteConnection
import Testing

@testable import QueryEngine

struct StatementCacheTests {
    /// A guarded connection that counts the calls of its authorizer: none for a statement that is not compiled.
    private final class Counted {
        private final class Counter { var calls = 0 }

        let database: TemporaryDatabase
        let guarded: GuardedConnection
        private let access: Ticket.Access
        private let counter: Counter

        init(_ sql: String, access: Ticket.Access = .reader, capacity: Int = 64) throws {
            database = try TemporaryDatabase(sql)
            var configuration = ServiceConfiguration(path: database.path)
            configuration.limits.maxCachedStatements = capacity
            let counter = Counter()
            self.access = access
            self.counter = counter
            guarded = try GuardedConnection(configuration, access: access) { _ in
                counter.calls += 1
                return false
            }
            // So that only the statements of the tests are counted.
            _ = try rows("SELECT 1")
        }

        /// Runs the statement as an executor does.
        func rows(_ sql: String, _ policy: SQLPolicy = .readWrite) throws -> [[SQLiteValue]] {
            var script = Script(sql)
            try guarded.begin(policy, access: access)
            defer { guarded.end() }
            guard var statement = try guarded.statement(of: &script, policy) else { return [] }
            #expect(script.isAtEnd)
            guarded.boundValues()
            var rows: [[SQLiteValue]] = []
            while try statement.step() {
                rows.append((0..<statement.columnCount).map { statement.value($0) })
            }
            guarded.keep(statement)
            return rows
        }

        /// Whether running the statement compiles it.
        func compiles(_ sql: String, _ policy: SQLPolicy = .readWrite) throws -> Bool {
            let before = counter.calls
            _ = try rows(sql, policy)
            return counter.calls > before
        }
    }

    @Test func `texts that Swift treats as equal are different statements`() throws {
        let counted = try Counted("CREATE TABLE t(v)")
        let texts = ["SELECT length('caf\u{e9}')", "SELECT length('cafe\u{301}')"]
        for _ in 0..<4 {
            #expect(try texts.map { try counted.rows($0) } == [[[.integer(4)]], [[.integer(5)]]])
        }
    }

    @Test func `a statement that occurs again is compiled twice, and then reused`() throws {
        let counted = try Counted("CREATE TABLE t(v); INSERT INTO t VALUES (1)")
        let sql = "SELECT v FROM t -- and a comment"
        #expect(try (0..<5).map { _ in try counted.compiles(sql) } == [true, true, false, false, false])
        #expect(try counted.rows(sql) == [[.integer(1)]])
    }

    @Test func `each policy has a statement of its own`() throws {
        let counted = try Counted("CREATE TABLE open(v); CREATE TABLE secret(v); INSERT INTO secret VALUES (1)")
        let restricted = SQLPolicy(level: .readOnly, readableTables: ["open"])
        let sql = "SELECT v FROM secret"
        for _ in 0..<3 { _ = try counted.rows(sql) }
        for _ in 0..<3 { #expect(throws: SQLiteError.self) { try counted.rows(sql, restricted) } }
        #expect(try counted.rows(sql) == [[.integer(1)]])
        #expect(try counted.compiles(sql, .admin))
    }

    @Test func `a change of the schema has the statement compiled again`() throws {
        let counted = try Counted("CREATE TABLE t(v); CREATE VIEW w AS SELECT v FROM t; INSERT INTO t VALUES ('a')")
        for _ in 0..<3 { _ = try counted.rows("SELECT * FROM w") }
        try counted.database.execute("DROP VIEW w; CREATE VIEW w AS SELECT v LIKE 'a' FROM t")
        #expect(try counted.rows("SELECT * FROM w") == [[.integer(1)]])
        #expect(counted.guarded.authorizer.statement.comparesPatterns)
        for _ in 0..<3 { _ = try counted.rows("SELECT * FROM w") }
        #expect(try !counted.compiles("SELECT * FROM w"))
        #expect(counted.guarded.authorizer.statement.comparesPatterns, "known without compiling it")
        try counted.database.execute("DROP VIEW w")
        #expect(throws: SQLiteError.self) { try counted.rows("SELECT * FROM w") }
    }

    @Test(arguments: ["PRAGMA table_info(t)", "PRAGMA user_version", "CREATE TABLE IF NOT EXISTS t(v)"])
    func `what does more than read or change rows is compiled each time`(sql: String) throws {
        let counted = try Counted("CREATE TABLE t(v)", access: .writer)
        for _ in 0..<4 { #expect(try counted.compiles(sql)) }
    }

    @Test func `the least recently used statement makes room`() throws {
        let counted = try Counted("", capacity: 2)
        for number in 0..<2 {
            for _ in 0..<2 { _ = try counted.rows("SELECT \(number)") }
        }
        #expect(try !counted.compiles("SELECT 0"))
        for _ in 0..<2 { _ = try counted.rows("SELECT 2") }
        #expect(try !counted.compiles("SELECT 0"))
        #expect(try !counted.compiles("SELECT 2"))
        #expect(try counted.compiles("SELECT 1"))
    }

    @Test func `no statement is kept with a capacity of 0`() throws {
        let counted = try Counted("", capacity: 0)
        for _ in 0..<4 { #expect(try counted.compiles("SELECT 1")) }
    }

    @Test func `nothing of a run is left for the next one`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(v); INSERT INTO t VALUES (1), (2), (3)")
        let connection = try Connection(path: database.path, mode: .readOnly)
        var statement = try connection.prepare("SELECT v, ?1 FROM t")
        try statement.bind(.text("bound"), at: 1)
        #expect(try statement.step())
        #expect(try statement.step())
        #expect(statement.status(.fullScanSteps) > 0)
        statement.prepareForReuse()
        #expect(statement.status(.fullScanSteps) == 0)
        #expect(try statement.step())
        #expect(statement.value(0) == .integer(1))
        #expect(statement.value(1) == .null)
    }

    // MARK: Through the service

    @Test func `a query that was cut off or failed does not affect the next one with the same SQL`() async throws {
        let harness = try Harness("CREATE TABLE t(v UNIQUE); INSERT INTO t VALUES (1), (2), (3)")
        for _ in 0..<3 {
            #expect(await harness.run("SELECT v FROM t") { $0.maxRows = 1 }.log.rows.count == 1)
            #expect(await harness.rows("SELECT v FROM t").count == 3)
            #expect(await harness.run("INSERT INTO t VALUES (?)", .positional([.integer(1)])).end.failure != nil)
            #expect(await harness.run("INSERT INTO t VALUES (?)").end.failure?.message.contains("no value") == true)
        }
        for value in 4..<8 {
            let outcome = await harness.run("INSERT INTO t VALUES (?)", .positional([.integer(Int64(value))])).end
                .outcome
            #expect(outcome?.changes == 1)
            #expect(outcome?.lastInsertRowid != nil)
        }
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(7)]])
    }

    @Test func `a kept statement that writes leaves no transaction open, however it ends`() async throws {
        let table = "CREATE TABLE t(v UNIQUE)"
        let harness = try Harness(table, readsLog: true)
        let database = harness.database
        func insert(_ value: Int64) async -> RecordingSink.End {
            await harness.run("INSERT INTO t VALUES (?)", .positional([.integer(value)])).end
        }
        for value in Int64(1)...3 { #expect(await insert(value).outcome?.changes == 1) }
        #expect(await insert(3).failure?.code == .constraint)
        // Each of these fails if the service holds the write lock.
        try database.execute("DROP TABLE t")
        #expect(await insert(4).failure?.code == .sqlError)
        try database.execute(table)
        for value in Int64(4)...6 { #expect(await insert(value).outcome?.changes == 1) }
        try database.execute("DROP TABLE t; CREATE VIEW t AS SELECT 1 AS v")
        #expect(await insert(7).failure?.code == .sqlError)
        try database.execute("CREATE TRIGGER i INSTEAD OF INSERT ON t BEGIN SELECT 1; END")
        for value in Int64(7)...9 { #expect(await insert(value).failure == nil) }
        try database.execute("DROP VIEW t; \(table)")
        #expect(await insert(9).outcome?.changes == 1)
        #expect(await harness.rows("SELECT v FROM t") == [[.integer(9)]])
    }

    @Test func `a kept statement reads what was committed before, and keeps no snapshot when it is over`() async throws
    {
        let harness = try Harness("CREATE TABLE t(v)")
        for count in Int64(1)...20 {
            try harness.database.execute("INSERT INTO t(v) VALUES (1)")
            #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(count)]])
            if count == 10 { try harness.database.execute("ALTER TABLE t ADD COLUMN w") }
            // It needs every reader to have ended.
            #expect(try harness.database.query("PRAGMA wal_checkpoint(TRUNCATE)").first?.first == .integer(0))
        }
    }

    @Test func `a setting or temporary object of a transaction affects the statements in it, and no others`()
        async throws
    {
        let harness = try Harness(
            """
            CREATE TABLE t(v);
            CREATE TRIGGER more AFTER INSERT ON t WHEN NEW.v < 5 BEGIN INSERT INTO t VALUES (NEW.v + 1); END;
            """,
            readsLog: true
        )
        let insert = "INSERT INTO t VALUES (1)"
        for _ in 0..<3 { await harness.run(insert) }
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(6)]])
        await harness.run("BEGIN")
        await harness.run("PRAGMA recursive_triggers = ON; SELECT 1")
        await harness.run(insert)
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(11)]])
        await harness.run("CREATE TEMP TABLE t(v)")
        await harness.run(insert)
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(1)]])
        await harness.run("ROLLBACK")
        await harness.run(insert)
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(8)]])
    }
}
