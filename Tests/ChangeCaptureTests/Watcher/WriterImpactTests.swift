import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The effect of watching on writers.
@Suite(.serialized) struct WriterImpactTests {
    /// Runs a writer without pauses, and checks the log meanwhile.
    private func largestLog(_ limits: WatcherLimits, transactions: Int) throws -> (bytes: Int, reported: Int) {
        let database = try TemporaryDatabase(
            "CREATE TABLE paced(id INTEGER PRIMARY KEY, name TEXT, val REAL, n INT, note TEXT)"
        )
        let count = Monitor((transactions: 0, bytes: 0))
        let wal = database.path + "-wal"
        let log = EventLog { event in
            guard case .transaction = event else { return }
            let size = ((try? FileManager.default.attributesOfItem(atPath: wal))?[.size] as? Int) ?? 0
            count.update { count in
                count.transactions += 1
                count.bytes = max(count.bytes, size)
            }
        }
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        try watcher.start()
        let writer = try ForeignWriterProcess(
            database.path,
            ["mode=pace", "transactions=\(transactions)", "synchronous=OFF"]
        )
        let outcome = try writer.finish()
        #expect(outcome.status == 0, "\(outcome.complaints)")
        #expect(log.waitForTransactions(transactions))
        watcher.stop()
        return count.withLock { ($0.bytes, $0.transactions) }
    }

    @Test func `under a writer that never pauses the log stays bounded`() throws {
        var limits = WatcherLimits()
        limits.checkpointFrameCount = 100
        limits.forcedRestartFrameCount = 200
        limits.pacedRestartFrameCount = 200
        let (bytes, reported) = try largestLog(limits, transactions: 12_000)
        #expect(reported == 12_000)
        // Without restarts 12,000 transactions take 98 MB; with them the size depends on the machine's load.
        #expect(bytes < 64 << 20, "\(bytes >> 20) MB")
    }

    /// A restarter that holds the write lock, and another connection.
    private struct Contest {
        let database: TemporaryDatabase
        let restarter: WALRestarter
        let writer: Connection

        init(_ maxCatchUp: Duration) throws {
            database = try TemporaryDatabase("CREATE TABLE t(a)")
            var limits = WatcherLimits()
            limits.forcedRestartMaxCatchUp = maxCatchUp
            restarter = try WALRestarter(path: database.path, limits: limits)
            writer = try Connection(path: database.path, mode: .readWrite)
            #expect(restarter.lock())
        }

        /// Whether the writer is refused.
        func isLockHeld() throws -> Bool {
            do throws(SQLiteError) {
                try writer.execute("INSERT INTO t VALUES(1)")
                return false
            } catch {
                guard error.code.primary == .busy else { throw error }
                return true
            }
        }

        func end() {
            restarter.unlock()
            restarter.close()
        }
    }

    @Test(arguments: [
        (maxCatchUp: Duration.seconds(60), frameCount: 256, isHeld: true), (.seconds(60), 257, false),
        (.zero, 1, false),
    ])
    func `a forced restart lets writers in after its turn, and before it decodes a long commit`(
        maxCatchUp: Duration,
        frameCount: Int,
        isHeld: Bool
    ) throws {
        let contest = try Contest(maxCatchUp)
        defer { contest.end() }
        contest.restarter.commitWillBeDecoded(frameCount: frameCount) { 1 }
        #expect(try contest.isLockHeld() == isHeld)
    }

    @Test func `a forced restart takes the lock again only after a writer had it`() throws {
        let contest = try Contest(.seconds(60))
        defer { contest.end() }
        // Too long to be decoded with the lock.
        contest.restarter.commitWillBeDecoded(frameCount: 257) { 5 }
        contest.restarter.commitWillBeDecoded(frameCount: 1) { 5 }
        #expect(try !contest.isLockHeld())
        contest.restarter.commitWillBeDecoded(frameCount: 1) { 6 }
        #expect(try contest.isLockHeld())
    }

    @Test func `checkpoints of other processes that wait for readers get through`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        let outcome = try ForeignWriterProcess(database.path, ["mode=checkpoint", "transactions=40"]).finish()
        #expect(outcome.status == 0, "\(outcome.complaints)")
        let longest = outcome.lines.compactMap { Int($0) }.max() ?? .max
        // Two alternating pins make it wait for its whole busy timeout of 30 s.
        #expect(longest < 5_000, "\(longest) ms")
        #expect(log.waitForTransactions(40))
    }

    @Test func `a paced writer without a busy timeout never gets BUSY`() throws {
        let database = try TemporaryDatabase(
            "CREATE TABLE paced(id INTEGER PRIMARY KEY, name TEXT, val REAL, n INT, note TEXT)"
        )
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        let writer = try ForeignWriterProcess(
            database.path,
            ["mode=pace", "transactions=1500", "interval=700", "busy=0", "synchronous=OFF"]
        )
        let outcome = try writer.finish()
        #expect(outcome.complaints.last?.hasSuffix("busy 0") == true, "\(outcome.complaints)")
        #expect(log.waitForTransactions(1_500))
    }
}
