import Foundation
import QueryEngine
import SQLiteConnection
import Testing

struct DatabaseFileTests {
    private func failure(_ path: String) -> SQLiteError? {
        do throws(SQLiteError) {
            _ = try QueryService(ServiceConfiguration(path: path))
            return nil
        } catch { return error }
    }

    @Test func `a file that is not there, a directory and a file of something else are refused at the start`() throws {
        let database = try TemporaryDatabase()
        let directory = (database.path as NSString).deletingLastPathComponent
        #expect(failure(directory + "/missing.db")?.code.primary == .cantOpen)
        #expect(failure(directory)?.code.primary == .cantOpen)
        let other = directory + "/other.txt"
        try String(repeating: "this is no database\n", count: 100).write(
            toFile: other,
            atomically: true,
            encoding: .utf8
        )
        #expect(failure(other)?.code.primary == .notADatabase)
    }

    @Test func `after a file is replaced, reopened connections see the new one`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES ('old')")
        #expect(await harness.rows("SELECT v FROM t") == [[.text("old")]])
        await harness.run("BEGIN; INSERT INTO t VALUES ('lost')", client: "bob")
        let other = try TemporaryDatabase("CREATE TABLE t(v); INSERT INTO t VALUES ('new')", journalMode: "DELETE")
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: harness.database.path + suffix) }
        #expect(rename(other.path, harness.database.path) == 0)
        harness.service.reopenConnections()
        #expect(await harness.rows("SELECT v FROM t") == [[.text("new")]])
        let insert = "INSERT INTO t VALUES ('more')"
        for sql in [insert, "COMMIT"] {
            let failure = await harness.run(sql, client: "bob").end.failure
            #expect(failure?.code == .databaseGone, "not without its transaction")
        }
        await harness.events.nextRollback()
        #expect(harness.events.failures.map(\.code) == [.databaseGone])
        #expect(await harness.run(insert, client: "bob").end.outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.text("new")], [.text("more")]])
    }

    @Test(arguments: [
        "SELECT * FROM t", "SELECT * FROM t WHERE false", "BEGIN; SELECT * FROM t; COMMIT",
        "INSERT INTO t DEFAULT VALUES RETURNING *", "SELECT * FROM v",
    ])
    func `columns are named as they are when another process has changed the schema`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2); CREATE VIEW v AS SELECT * FROM t")
        // On the connections that the query will run on, so that they know the schema.
        await harness.run(sql)
        let foreign = try Connection(path: harness.database.path, mode: .readWrite)
        try foreign.execute("ALTER TABLE t RENAME b TO c; ALTER TABLE t ADD COLUMN d; ALTER TABLE t DROP COLUMN a")
        let log = await harness.run(sql).log
        #expect(log.columns.values.first == ["c", "d"])
        #expect(log.rows.allSatisfy { $0.count == 2 })
    }

    @Test func `a statement that cannot be a transaction of its own still runs`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t VALUES (1)")
        #expect(await harness.run("VACUUM").end.outcome != nil)
        #expect(await harness.run("PRAGMA user_version = 3").end.outcome != nil)
        #expect(await harness.rows("PRAGMA user_version") == [[.integer(3)]])
        #expect(await harness.run("VACUUM; SELECT 1").end.failure?.message.contains("VACUUM") == true)
        #expect(await harness.run("VACUUM; SELECT 1") { $0.atomic = false }.end.outcome != nil)
    }
}
