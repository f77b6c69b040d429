import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Generated columns that cannot be computed in time.
@Suite struct SlowColumnTests {
    /// Checks its deadline after every megabyte, and fails at the first check when it has passed.
    private static let slow = "instr(printf('%.*c', 4000000, 'a'), 'b')"

    private func report(_ sql: String, _ changes: [String]) throws -> [TableRows] {
        let database = try TemporaryDatabase(sql)
        let log = EventLog()
        var limits = WatcherLimits()
        limits.maxVirtualColumnTime = .zero
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        watcher.captureLevel = .values
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        for change in changes { try writer.execute(change) }
        #expect(log.waitForTransactions(changes.count))
        watcher.stop()
        return log.transactions.flatMap { transaction in
            transaction.changes.events.compactMap { if case .rows(let rows) = $0 { rows } else { nil } }
        }
    }

    @Test(arguments: ["WAL", "DELETE"])
    func `a column that is late is named, and the others have their values`(_ journalMode: String) throws {
        let rows = try report(
            """
            PRAGMA journal_mode = \(journalMode);
            CREATE TABLE t (id INTEGER PRIMARY KEY, a, twice AS (a * 2), late AS (\(Self.slow)), thrice AS (a * 3));
            """,
            ["INSERT INTO t (a) VALUES (1)"]
        )
        #expect(rows.map(\.columnsOmitted) == [["late"]])
        let values = rows.first?.rows.first?.after?.values
        #expect(values == [.integer(1), .integer(1), .integer(2), .null, .integer(3)])
    }

    @Test func `the row before lacks it as well, and later commits too`() throws {
        let rows = try report(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a, late AS (\(Self.slow)), twice AS (a * 2)); INSERT INTO t (a) VALUES (1)",
            ["UPDATE t SET a = 2", "DELETE FROM t"]
        )
        #expect(rows.map(\.columnsOmitted) == [["late"], ["late"]])
        #expect(rows.first?.rows.first?.before?.values == [.integer(1), .integer(1), .null, .integer(2)])
        #expect(rows.first?.rows.first?.after?.values == [.integer(1), .integer(2), .null, .integer(4)])
    }

    @Test func `the watcher's heart beats while it idles`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t (a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute("INSERT INTO t VALUES (1)")
        #expect(log.waitForTransactions(1))
        #expect(watcher.heartbeatAge < .seconds(20))
        watcher.stop()
    }
}
