import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// How the commits of this process's writer become durable, and what is reported when they do not.
@Suite struct LogSyncTests {
    @Test func `the log of a database is synced`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute("INSERT INTO t VALUES(1)")
        #expect(LogSync(databasePath: database.path).sync() == nil)
    }

    @Test func `a log that is missing or cannot be synced is a failure with SQLite's code`() throws {
        let database = try TemporaryDatabase()
        let sync = LogSync(databasePath: database.path)
        #expect(sync.sync()?.code == .inputOutputSync)
        // A device that refuses to sync.
        try FileManager.default.createSymbolicLink(atPath: database.path + "-wal", withDestinationPath: "/dev/null")
        let refused = LogSync(databasePath: database.path)
        refused.open(databasePath: database.path)
        #expect(refused.sync()?.message == "the write-ahead log cannot be synced: Invalid argument")
    }

    @Test func `after a failure no sync counts until the log begins again`() throws {
        let database = try TemporaryDatabase()
        let sync = LogSync(databasePath: database.path)
        #expect(sync.takeNewFailure() == nil)
        #expect(sync.sync() != nil)
        try Data().write(to: URL(fileURLWithPath: database.path + "-wal"))
        #expect(sync.sync() != nil && sync.hasFailed)
        #expect(sync.takeNewFailure() != nil)
        #expect(sync.takeNewFailure() == nil)
        sync.logRestarted()
        #expect(sync.sync() == nil && !sync.hasFailed)
        #expect(sync.takeNewFailure() == nil)
    }

    @Test func `another log has no failure of an earlier one`() throws {
        let (first, second) = (try TemporaryDatabase(), try TemporaryDatabase("CREATE TABLE t(a)"))
        let writer = try Connection(path: second.path, mode: .readWrite)
        try writer.execute("INSERT INTO t VALUES(1)")
        let sync = LogSync(databasePath: first.path)
        #expect(sync.sync() != nil)
        sync.open(databasePath: second.path)
        #expect(sync.sync() == nil)
    }

    @Test func `all commits of a log that cannot be synced carry the failure, and a commit without frames does not`()
        throws
    {
        let database = try TemporaryDatabase()
        let ledger = LocalCommitLedger(wake: try WakeSignal(), log: LogSync(databasePath: database.path))
        ledger.didCommit(.init(token: 1, frameCount: 2, changes: nil))
        ledger.didCommit(.init(token: 2, frameCount: nil, changes: nil))
        ledger.didCommit(.init(token: 3, frameCount: 4, changes: nil))
        let codes = ledger.announced(atMost: .zero)?.map { $0.syncFailure?.code }
        #expect(codes == [.inputOutputSync, nil, .inputOutputSync])
        #expect(ledger.syncRest()?.code == .inputOutputSync)
        ledger.delivered(3)
        #expect(ledger.syncRest() == nil)
    }

    @Test func `a failed sync is reported before the commits, which are published all the same`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        var frameCount: UInt32?
        writer.setWALHook { _, count in frameCount = UInt32(count) }
        // There is no log to sync.
        watcher.localCommits.log.open(databasePath: database.path + "-none")
        for token in UInt64(1)...2 {
            watcher.localCommits.willCommit()
            try writer.execute("INSERT INTO t VALUES(\(token))")
            watcher.localCommits.didCommit(.init(token: token, frameCount: frameCount, changes: nil))
        }
        #expect(watcher.localCommits.waitUntilDelivered(2, atMost: .seconds(30)))
        watcher.stop()
        #expect(log.transactions.map(\.token) == [1, 2])
        #expect(log.transactions.map(\.changes.insertedIntegers) == [[1], [2]])
        #expect(log.transactions.allSatisfy { $0.syncFailure?.code == .inputOutputSync })
        #expect(log.all.first?.hasNotice(containing: "may not survive a loss of power") == true)
    }
}
