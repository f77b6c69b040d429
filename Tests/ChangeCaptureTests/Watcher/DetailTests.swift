import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The detail of reported rows, and the values of columns that no page holds.
@Suite struct DetailTests {
    private let sql = """
        CREATE TABLE g(id INTEGER PRIMARY KEY, a INT, twice AS (a * 2) VIRTUAL, thrice AS (a * 3) STORED, b TEXT);
        CREATE TABLE w(k TEXT, a INT, twice AS (a * 2) VIRTUAL, PRIMARY KEY(k)) WITHOUT ROWID;
        INSERT INTO g(id, a, b) VALUES(1, 10, 'x');
        INSERT INTO w(k, a) VALUES('key', 5);
        """

    private func report(_ level: CaptureLevel, _ change: String) throws -> [TableRows] {
        let database = try TemporaryDatabase(sql)
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        watcher.captureLevel = level
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute(change)
        #expect(log.waitForTransactions(1))
        watcher.stop()
        return log.transactions.flatMap { transaction in
            transaction.changes.events.compactMap { if case .rows(let rows) = $0 { rows } else { nil } }
        }
    }

    @Test func `virtual columns have their values before and after`() throws {
        let rows = try report(.values, "BEGIN; UPDATE g SET a = 11; UPDATE w SET a = 6; COMMIT")
        let g = try #require(rows.first { $0.table.name == "g" }?.rows.first)
        #expect(g.before?.values == [.integer(1), .integer(10), .integer(20), .integer(30), .text("x")])
        #expect(g.after?.values == [.integer(1), .integer(11), .integer(22), .integer(33), .text("x")])
        let w = try #require(rows.first { $0.table.name == "w" }?.rows.first)
        #expect(w.before?.values == [.text("key"), .integer(5), .integer(10)])
        #expect(w.after?.values == [.text("key"), .integer(6), .integer(12)])
    }

    @Test func `the same table is reported by its keys when no more is requested`() throws {
        let rows = try report(.keys, "BEGIN; UPDATE g SET a = 11; DELETE FROM w; COMMIT")
        #expect(rows.map(\.detail) == [.keys, .keys])
        #expect(rows.map(\.updated) == [1, 0])
        #expect(rows.map(\.deleted) == [0, 1])
        #expect(rows[0].rows.map(\.rowid) == [1])
    }

    @Test func `or only by its counts`() throws {
        let rows = try report(.counts, "BEGIN; UPDATE g SET a = 11; DELETE FROM w; COMMIT")
        #expect(rows.map(\.detail) == [.counts, .counts])
        #expect(rows.allSatisfy { $0.rows.isEmpty && !$0.rowsOmitted })
    }

    @Test func `a table altered during a burst is reported with its own columns each time`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let gate = Monitor(false)
        let slow = EventLog { event in
            log.receive(event)
            _ = gate.wait(atMost: .seconds(30)) { $0 ? true : nil }
        }
        let watcher = try DatabaseWatcher(path: database.path, sink: slow)
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute(
            """
            INSERT INTO t VALUES(1);
            ALTER TABLE t ADD COLUMN b DEFAULT 'd';
            INSERT INTO t VALUES(2, 'two');
            ALTER TABLE t RENAME COLUMN a TO c;
            UPDATE t SET c = 3 WHERE c = 1;
            ALTER TABLE t RENAME TO u;
            DELETE FROM u WHERE c = 2;
            DROP TABLE u;
            """
        )
        gate.update { $0 = true }
        #expect(slow.waitForTransactions(8))
        watcher.stop()
        var reported: [String] = []
        for transaction in slow.transactions {
            for event in transaction.changes.events {
                switch event {
                case .schema(.created(let table)): reported.append("created \(table.name)")
                case .schema(.dropped(let table)): reported.append("dropped \(table.name)")
                case .schema(.modified(let change)):
                    let columns = change.table.columns.map(\.name).joined(separator: ",")
                    reported.append("\(change.previousName ?? "") is \(change.table.name)(\(columns))")
                case .rows(let rows):
                    for row in rows.rows {
                        reported.append("\(rows.table.name) \(row.operation) \(row.after?.count ?? 0)")
                    }
                }
            }
        }
        #expect(
            reported == [
                "t insert 1", " is t(a,b)", "t insert 2", " is t(c,b)", "t update 2", "t is u(c,b)", "u delete 0",
                "dropped u",
            ]
        )
    }
}
