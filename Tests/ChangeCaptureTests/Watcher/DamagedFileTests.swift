import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The behaviour of a watcher when its file is damaged or removed, in WAL mode and with a rollback journal.
@Suite struct DamagedFileTests {
    private static let journalModes = ["wal", "delete"]

    private func write(_ bytes: Data, over path: String) throws {
        // In place: the same file, as an editor or `cp` leaves it.
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: bytes)
        try file.close()
    }

    /// Changes the file by `damage` while it is watched, restores the old bytes by `rename`, and expects the watcher to
    /// continue.
    private func recover(
        _ journalMode: String,
        from damage: (String) throws -> Void
    ) throws -> EventLog {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: journalMode)
        let intact = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: journalMode)
        var limits = WatcherLimits()
        limits.reopenInterval = .milliseconds(20)
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        try watcher.start()
        defer { watcher.stop() }
        try damage(database.path)
        #expect(log.wait { if case .epochChanged = $0 { true } else { $0.isGone } })
        for suffix in ["-wal", "-shm"] { unlink(database.path + suffix) }
        #expect(rename(intact.path, database.path) == 0)
        let writer = try Connection(path: database.path, mode: .readWrite)
        writer.setBusyTimeout(.seconds(10))
        // Commits before the file is opened again belong to the start of the new epoch, and are not reported.
        let isFollowed = try (1...100).contains { value in
            do throws(SQLiteError) {
                try writer.execute("INSERT INTO t VALUES(\(value))")
            } catch {
                // A connection that still has a file of no bytes open takes the journal of the new one for its own, and
                // SQLite deletes the journal of an empty database.
                guard error.code == .journalIsGone else { throw error }
                return false
            }
            return log.wait(atMost: .milliseconds(300)) { $0.inserted(Int64(value)) }
        }
        #expect(isFollowed)
        return log
    }

    @Test(arguments: journalModes) func `a file overwritten with other bytes is gone until it is a database again`(
        journalMode: String
    ) throws {
        let log = try recover(journalMode) { try write(Data(repeating: 0x42, count: 20_000), over: $0) }
        #expect(log.all.filter(\.isGone).count == 1)
    }

    @Test(arguments: journalModes) func `a file cut to nothing begins a new epoch`(journalMode: String) throws {
        _ = try recover(journalMode) { try write(Data(), over: $0) }
    }

    @Test(arguments: journalModes) func `a truncated file begins a new epoch`(
        journalMode: String
    ) throws {
        // The second page is the table's.
        _ = try recover(journalMode) { #expect(truncate($0, 4096) == 0) }
    }

    @Test(arguments: [false, true]) func `a database copied over a watched one in place begins a new epoch`(
        rightAfterCommit: Bool
    ) async throws {
        // The same length, and the same number of commits: its header is identical.
        let database = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
        let other = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(2)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        let writer = try Connection(path: database.path, mode: .readWrite)
        writer.setBusyTimeout(.seconds(10))
        if rightAfterCommit {
            try writer.execute("INSERT INTO t VALUES(4)")
            #expect(log.wait { $0.inserted(4) })
            // Each of these takes the watcher a round, and it checks the file in the first round that finds nothing
            // new.
            for _ in 0..<5 {
                _ = try await watcher.read { connection throws(SQLiteError) in try connection.query("SELECT 1") }
            }
        }
        try write(Data(contentsOf: URL(fileURLWithPath: other.path)), over: database.path)
        #expect(log.wait { if case .epochChanged = $0 { true } else { $0.isGone } })
        guard !rightAfterCommit else { return }
        try writer.execute("UPDATE t SET a = 3")
        #expect(log.waitForTransactions(1))
        let rows = log.transactions[0].changes.events.compactMap { if case .rows(let rows) = $0 { rows } else { nil } }
        #expect(rows.first?.rows.first?.before?.values == [.integer(2)])
    }

    @Test func `a copy in place of a database with a rollback journal that was committed to as often is noticed`()
        throws
    {
        let database = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(1)", journalMode: "delete")
        let other = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(2)", journalMode: "delete")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        try write(Data(contentsOf: URL(fileURLWithPath: other.path)), over: database.path)
        #expect(log.wait { $0.isEpoch(.overwritten) }, "\(log.all)")
        let writer = try Connection(path: database.path, mode: .readWrite)
        writer.setBusyTimeout(.seconds(10))
        try writer.execute("INSERT INTO t VALUES(3)")
        #expect(log.wait { $0.inserted(3) })
    }

    @Test func `a commit that follows a copy over the file is not reported as one of the old database`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
        let other = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(2)")
        // The only checks of the file are those that the log makes necessary.
        var limits = WatcherLimits()
        limits.identityInterval = .seconds(3_600)
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        try watcher.start()
        defer { watcher.stop() }
        let writer = try Connection(path: database.path, mode: .readWrite)
        writer.setBusyTimeout(.seconds(10))
        try writer.execute("INSERT INTO t VALUES(3)")
        #expect(log.wait { $0.inserted(3) })
        try write(Data(contentsOf: URL(fileURLWithPath: other.path)), over: database.path)
        try writer.execute("INSERT INTO t VALUES(4)")
        #expect(log.wait { $0.isEpoch(.overwritten) })
        #expect(!log.all.contains { $0.inserted(4) })
    }

    @Test(arguments: ["-wal", "-shm"]) func `a log deleted by another process begins a new epoch`(suffix: String) throws
    {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        #expect(unlink(database.path + suffix) == 0)
        #expect(log.wait { $0.isEpoch(.logLost) })
        let writer = try ForeignWriterProcess(database.path, ["mode=create"])
        #expect(try writer.finish().status == 0)
        #expect(log.waitForTransactions(1))
    }

    @Test func `connections opened before the index of the log was deleted do not overwrite later commits`() throws {
        let database = try TemporaryDatabase()
        #expect(try ForeignWriterProcess(database.path, ["mode=create"]).finish().status == 0)
        var limits = WatcherLimits()
        limits.reopenInterval = .milliseconds(20)
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        try watcher.start()
        defer { watcher.stop() }
        let own = try Connection(path: database.path, mode: .readWrite)
        #expect(try own.query("SELECT count(*) FROM ledger") == [[.integer(0)]])
        #expect(unlink(database.path + "-shm") == 0)
        // While one connection has the old index, no other one may be opened.
        #expect(log.wait { $0.isGone })
        let refused = #expect(throws: SQLiteError.self) { try Connection(path: database.path, mode: .readWrite) }
        #expect(refused?.code == .cantOpen)
        let random = ["mode=random", "writer=0", "seed=1", "transactions=5", "checkpoints=0"]
        #expect(try ForeignWriterProcess(database.path, random).finish().status == 0)
        own.close()
        #expect(log.wait { $0.isBack })
        #expect(log.wait { $0.isEpoch(.logLost) })
        let next = try Connection(path: database.path, mode: .readWrite)
        #expect(try next.query("SELECT count(*) FROM ledger WHERE writer = 0") == [[.integer(5)]])
        try next.execute("INSERT INTO ledger(writer, seq) VALUES(-1, 0)")
        #expect(log.waitForTransactions(1))
        #expect(try next.query("PRAGMA integrity_check") == [[.text("ok")]])
    }
}

extension ResultCode {
    /// `SQLITE_IOERR_DELETE_NOENT`.
    fileprivate static let journalIsGone = ResultCode(rawValue: 10 | 23 << 8)
}
