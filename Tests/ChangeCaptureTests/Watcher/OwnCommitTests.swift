import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Commits of this process and of others in one order, each once and with the right origin.
@Suite struct OwnCommitTests {
    /// A writer like the service's: it announces its commits.
    private final class OwnWriter {
        let connection: Connection
        private let own: LocalCommitLedger
        private let frames = Frames()
        private var token: UInt64 = 0

        private final class Frames {
            var last: Int?
            var place: CommitPlace?
        }

        init(_ path: String, _ own: LocalCommitLedger) throws {
            self.own = own
            connection = try Connection(path: path, mode: .readWrite)
            connection.setBusyTimeout(.seconds(30))
            connection.setCommitHook { [frames, unowned connection] in
                frames.place = connection.placeOfCommit
                own.willCommit()
                return .commit
            }
            connection.setWALHook { [frames] _, count in frames.last = count }
        }

        /// Runs a transaction and returns its token once it was delivered, or once the transaction `ahead` before it was.
        func commit(_ sql: String, changes: ChangeSet? = nil, ahead: UInt64 = 0) throws -> UInt64? {
            (frames.last, frames.place) = (nil, nil)
            let before = connection.placeOfLastCommit
            // VACUUM calls no commit hook.
            if sql == "VACUUM" { own.willCommit() }
            do {
                try connection.execute(sql)
            } catch {
                own.didNotCommit()
                throw error
            }
            token += 1
            if sql == "VACUUM" { frames.place = before.flatMap { connection.placeOfVacuum(since: $0) } }
            let frameCount = frames.last.map { UInt32($0) }
            own.didCommit(.init(token: token, frameCount: frameCount, place: frames.place, changes: changes))
            return own.waitUntilDelivered(token - min(token, ahead), atMost: .seconds(30)) ? token : nil
        }
    }

    @Test func `an own commit is reported once, as the service's, before its writer continues`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try OwnWriter(database.path, watcher.localCommits)
        for value in 0..<20 {
            let token = try writer.commit("INSERT INTO t VALUES(\(value))")
            #expect(token == UInt64(value + 1))
            #expect(log.transactions.count == value + 1)
            #expect(log.transactions.last?.token == token)
        }
        watcher.stop()
        #expect(log.transactions.map(\.changes.insertedIntegers) == (0..<20).map { [$0] })
        #expect(log.transactions.allSatisfy { $0.changes.origin == .service })
    }

    @Test(arguments: [0, 64])
    func `own and foreign commits interleave exactly, also when our writer goes ahead`(ahead: UInt64) throws {
        let database = try TemporaryDatabase()
        let created = try ForeignWriterProcess(database.path, ["mode=create"]).finish()
        #expect(created.status == 0)
        let tokens = Monitor<[(token: UInt64?, writers: [Int64])]>([])
        let sink = try OracleSink(digestEvery: 5) { transaction in
            var writers: [Int64] = []
            for case .rows(let rows) in transaction.changes.events where rows.table.name == "ledger" {
                for row in rows.rows where row.operation == .insert {
                    guard case .integer(let writer)? = row.after?.values[1] else { continue }
                    writers.append(writer)
                }
            }
            tokens.update { $0.append((transaction.token, writers)) }
        }
        let start = try Connection(path: database.path, mode: .readWrite)
        try sink.replica.load(from: start)
        start.close()
        let watcher = try DatabaseWatcher(path: database.path, sink: sink)
        try watcher.start()
        let foreign = try (0..<2).map { writer in
            try ForeignWriterProcess(
                database.path,
                ["mode=random", "seed=\(OracleSettings.seed)", "writer=\(writer)", "transactions=60", "ddl=0"]
            )
        }
        let writer = try OwnWriter(database.path, watcher.localCommits)
        for sequence in 1...150 {
            let sql = "BEGIN IMMEDIATE; INSERT INTO ledger(writer, seq) VALUES(99, \(sequence)); COMMIT"
            #expect(try writer.commit(sql, ahead: ahead) != nil)
        }
        for process in foreign { #expect(try process.finish().status == 0) }
        #expect(try writer.commit("INSERT INTO ledger(writer, seq) VALUES(99, 151)") != nil)
        watcher.stop()
        let seen = tokens.withLock { $0 }
        #expect(seen.compactMap(\.token) == Array(1...151))
        for entry in seen { #expect((entry.token != nil) == entry.writers.contains(99), "\(entry)") }
        #expect(sink.replica.complaints == [])
        for number in 0..<2 {
            #expect(sink.reported.filter { $0.writer == number }.map(\.sequence) == Array(1...60))
        }
    }

    @Test func `in WAL mode the log is the source of our own rows too`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try OwnWriter(database.path, watcher.localCommits)
        let hooksSawNothing = ChangeSet(origin: .service, events: [])
        #expect(try writer.commit("INSERT INTO t VALUES(1), (2), (3)", changes: hooksSawNothing) == 1)
        #expect(try writer.commit("DELETE FROM t WHERE a < 3") == 2)
        // Gives the remaining row another rowid, which no hook reports.
        #expect(try writer.commit("VACUUM", changes: hooksSawNothing) == 3)
        watcher.stop()
        #expect(log.transactions.map(\.changes.insertedIntegers) == [[1, 2, 3], [], [3]])
        #expect(log.transactions.map(\.token) == [1, 2, 3])
    }

    @Test func `a commit that wrote nothing lets its writer go on`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try OwnWriter(database.path, watcher.localCommits)
        #expect(try writer.commit("BEGIN IMMEDIATE; COMMIT") == 1)
        #expect(throws: SQLiteError.self) { _ = try writer.commit("INSERT INTO none VALUES(1)") }
        #expect(try writer.commit("INSERT INTO t VALUES(1)") == 2)
        watcher.stop()
        #expect(log.transactions.map(\.token) == [1, 2])
    }

    @Test func `a commit that was not announced beforehand is reported once nevertheless`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute("INSERT INTO t VALUES(1)")
        #expect(log.wait { $0.inserted(1) })
        watcher.localCommits.didCommit(.init(token: 5, frameCount: 3, changes: nil))
        #expect(watcher.localCommits.waitUntilDelivered(5, atMost: .seconds(30)))
        watcher.stop()
        #expect(log.transactions.map(\.changes.insertedIntegers) == [[1], []])
        #expect(log.transactions.map(\.token) == [nil, 5])
    }

    @Test func `the watcher waits for a running commit, but not while it stops`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        watcher.localCommits.willCommit()
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute("INSERT INTO t VALUES(1)")
        // Until the own writer has reported the end of its commit, this one could be it.
        let start = ContinuousClock.now
        watcher.stop()
        #expect(ContinuousClock.now - start < .seconds(20))
        #expect(log.transactions.allSatisfy { $0.token == nil })
    }

    @Test func `a commit that is under way for longer than a lock is waited for keeps its name`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        var limits = WatcherLimits()
        limits.busyTimeout = .milliseconds(300)
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        try watcher.start()
        let writer = try Connection(path: database.path, mode: .readWrite)
        var frameCount: UInt32?
        writer.setWALHook { _, count in frameCount = UInt32(count) }
        watcher.localCommits.willCommit()
        try writer.execute("INSERT INTO t VALUES(1)")
        #expect(!log.waitForTransactions(1, atMost: .milliseconds(900)))
        watcher.localCommits.didCommit(.init(token: 1, frameCount: frameCount, changes: nil))
        #expect(watcher.localCommits.waitUntilDelivered(1, atMost: .seconds(30)))
        watcher.stop()
        #expect(log.transactions.map(\.token) == [1])
    }

    @Test func `stopping lets waiting writers go`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let watcher = try DatabaseWatcher(path: database.path, sink: EventLog())
        try watcher.start()
        watcher.stop()
        watcher.localCommits.didCommit(.init(token: 1, frameCount: 9, changes: nil))
        #expect(!watcher.localCommits.waitUntilDelivered(1, atMost: .seconds(60)))
    }

    @Test func `own commits are distinguished from external ones with a rollback journal too`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try OwnWriter(database.path, watcher.localCommits)
        let foreign = try Connection(path: database.path, mode: .readWrite)
        foreign.setBusyTimeout(.seconds(10))
        for value in 0..<10 {
            #expect(try writer.commit("INSERT INTO t VALUES(\(2 * value))") != nil)
            try foreign.execute("INSERT INTO t VALUES(\(2 * value + 1))")
            #expect(log.wait { $0.inserted(Int64(2 * value + 1)) })
        }
        watcher.stop()
        #expect(log.transactions.map(\.changes.insertedIntegers) == (0..<20).map { [$0] })
        #expect(log.transactions.map { $0.token != nil } == (0..<20).map { $0 % 2 == 0 })
    }

    @Test(arguments: ["delete", "wal"])
    func `rowids that VACUUM renumbers are published once, as commits of the service`(journalMode: String) throws {
        let database = try TemporaryDatabase(
            "CREATE TABLE t(a); INSERT INTO t VALUES(1), (2), (3); DELETE FROM t WHERE a = 1",
            journalMode: journalMode
        )
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let writer = try OwnWriter(database.path, watcher.localCommits)
        #expect(try writer.commit("VACUUM", changes: ChangeSet(origin: .service, events: [])) == 1)
        watcher.stop()
        #expect(log.transactions.map(\.token) == [1])
        // The rowids 2 and 3 with the values 2 and 3 became the rowids 1 and 2.
        var reported: [Int64: Row] = [:]
        for case .rows(let rows) in log.transactions.flatMap(\.changes.events) {
            for row in rows.rows { reported[row.rowid ?? 0] = row.after }
        }
        #expect(reported[1]?.values == [.integer(2)])
        #expect(reported[2]?.values == [.integer(3)])
        #expect(reported[3] == nil)
    }
}
