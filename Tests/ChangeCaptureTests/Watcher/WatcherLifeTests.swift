import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The behaviour of a watcher when the file itself is changed.
@Suite struct WatcherLifeTests {
    private func connect(_ database: TemporaryDatabase) throws -> Connection {
        let connection = try Connection(path: database.path, mode: .readWrite)
        connection.setBusyTimeout(.seconds(10))
        return connection
    }

    private func watch(
        _ database: TemporaryDatabase,
        _ log: EventLog,
        _ limits: WatcherLimits = WatcherLimits()
    ) throws -> DatabaseWatcher {
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits)
        try watcher.start()
        return watcher
    }

    @Test func `a file that is not there is refused by name`() throws {
        let database = try TemporaryDatabase()
        let watcher = try DatabaseWatcher(path: database.path, sink: EventLog())
        let error = #expect(throws: WatchError.self) { try watcher.start() }
        #expect(error == .noFile(path: database.path))
    }

    @Test func `a file that is no database is refused by name`() throws {
        let database = try TemporaryDatabase()
        try Data(repeating: 0x42, count: 10_000).write(to: URL(fileURLWithPath: database.path))
        let watcher = try DatabaseWatcher(path: database.path, sink: EventLog())
        let error = #expect(throws: WatchError.self) { try watcher.start() }
        guard case .notADatabase(database.path, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `an in-memory database is refused, because no other process can write it`() throws {
        let error = #expect(throws: WatchError.self) { _ = try DatabaseWatcher(path: ":memory:", sink: EventLog()) }
        #expect(error == .notAFile(path: ":memory:"))
    }

    @Test func `commits before the start are not reported, those after it are`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
        let log = EventLog()
        let writer = try connect(database)
        let watcher = try watch(database, log)
        try writer.execute("INSERT INTO t VALUES(2)")
        #expect(log.waitForTransactions(1))
        watcher.stop()
        #expect(log.transactions.map(\.changes.insertedIntegers) == [[2]])
        #expect(log.transactions.allSatisfy { $0.token == nil && $0.changes.origin == .external })
    }

    @Test func `after stop nothing is reported and no lock is left`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try watch(database, log)
        watcher.stop()
        let writer = try connect(database)
        try writer.execute("INSERT INTO t VALUES(1)")
        // Possible only for the last connection.
        #expect(try writer.query("PRAGMA journal_mode=DELETE") == [[.text("delete")]])
        #expect(log.all.isEmpty)
    }

    @Test func `a file replaced by another is followed, in a new epoch`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        let other = try TemporaryDatabase("CREATE TABLE u(a)")
        #expect(rename(other.path, database.path) == 0)
        #expect(log.wait { $0.isEpoch(.replaced) })
        let writer = try connect(database)
        try writer.execute("INSERT INTO u VALUES(7)")
        #expect(log.wait { $0.inserted(7) })
    }

    /// Records in one order what it receives.
    private final class SchemaLog: SchemaSink {
        let words = Monitor<[String]>([])

        func opened(_ tables: [TableDescription]) {
            words.update { $0.append("opened " + tables.map(\.name).joined(separator: " ")) }
        }

        func receive(_ event: DatabaseEvent) {
            words.update { words in
                switch event {
                case .epochChanged(let reason): words.append("epoch \(reason.code.rawValue)")
                case .transaction(let transaction): words.append("inserted \(transaction.changes.insertedIntegers)")
                default: break
                }
            }
        }
    }

    @Test(arguments: ["wal", "delete"])
    func `a sink of the schema receives the tables of each opening, before its epoch and transactions`(
        journalMode: String
    ) throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a); CREATE VIEW v AS SELECT 1", journalMode: journalMode)
        let log = SchemaLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        #expect(log.words.withLock { $0 } == ["opened t v"])
        let other = try TemporaryDatabase("CREATE TABLE u(a)", journalMode: journalMode)
        #expect(rename(other.path, database.path) == 0)
        let isReplaced = log.words.wait(atMost: .seconds(30)) { $0.contains("epoch replaced") ? true : nil }
        #expect(isReplaced == true)
        try connect(database).execute("INSERT INTO u VALUES(7)")
        let isInserted = log.words.wait(atMost: .seconds(30)) { $0.contains("inserted [7]") ? true : nil }
        #expect(isInserted == true)
        #expect(log.words.withLock { $0 } == ["opened t v", "opened u", "epoch replaced", "inserted [7]"])
    }

    @Test func `a deleted file is reported gone, and followed again once it is back`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        for suffix in ["", "-wal", "-shm"] { unlink(database.path + suffix) }
        #expect(log.wait { $0.isGone })
        let writer = try Connection(path: database.path, mode: .readWriteCreate)
        try writer.execute("PRAGMA journal_mode=WAL; CREATE TABLE v(a)")
        #expect(log.wait { $0.isBack })
        #expect(log.wait { $0.isEpoch(.removed) })
        try writer.execute("INSERT INTO v VALUES(8)")
        #expect(log.wait { $0.inserted(8) })
    }

    @Test func `a database behind a symbolic link is followed, and so is the next one that the link names`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let other = try TemporaryDatabase("CREATE TABLE t(a)")
        let link = database.directory.appendingPathComponent("link.db").path
        #expect(symlink(database.path, link) == 0)
        let log = EventLog()
        let watcher = try DatabaseWatcher(path: link, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        try connect(database).execute("INSERT INTO t VALUES(1)")
        #expect(log.wait { $0.inserted(1) })
        #expect(symlink(other.path, link + ".next") == 0 && rename(link + ".next", link) == 0)
        #expect(log.wait { $0.isEpoch(.replaced) })
        try connect(other).execute("INSERT INTO t VALUES(2)")
        #expect(log.wait { $0.inserted(2) })
    }

    @Test func `a file without a byte is an empty database`() throws {
        let database = try TemporaryDatabase()
        try Data().write(to: URL(fileURLWithPath: database.path))
        let log = EventLog()
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        try connect(database).execute("BEGIN; CREATE TABLE t(a); INSERT INTO t VALUES(1); COMMIT")
        #expect(log.wait { $0.inserted(1) })
        #expect(log.transactions.count == 1)
    }

    @Test func `a file that cannot be followed for long is complained of once`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        let damaged = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        let file = try #require(FileHandle(forUpdatingAtPath: damaged.path))
        // The type of the table's only page: SQLite opens such a file.
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: [7])
        try file.close()
        let intact = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        let log = EventLog()
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        #expect(rename(damaged.path, database.path) == 0)
        #expect(log.wait { $0.isGone })
        #expect(rename(intact.path, database.path) == 0)
        #expect(log.wait { $0.isBack })
        #expect(log.wait { $0.isEpoch(.replaced) })
        #expect(log.all.filter { $0.hasNotice(containing: "journal mode") }.count == 2)
        #expect(log.all.filter(\.isGone).count == 1)
    }

    @Test func `a log that is created after the start begins a new epoch`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        let log = EventLog()
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        #expect(log.wait { $0.hasNotice(containing: "PRAGMA journal_mode=WAL") })
        let writer = try connect(database)
        try writer.execute("INSERT INTO t VALUES(1)")
        #expect(log.wait { $0.inserted(1) })
        try writer.execute("PRAGMA journal_mode=WAL")
        #expect(log.wait { $0.isEpoch(.journalMode) })
        try writer.execute("INSERT INTO t VALUES(2)")
        #expect(log.wait { $0.inserted(2) })
    }

    @Test func `a file that grows too large loses its private copy, and gets one again when it has shrunk`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        var limits = WatcherLimits()
        limits.maxShadowBytes = 100_000
        let log = EventLog()
        let watcher = try watch(database, log, limits)
        defer { watcher.stop() }
        let writer = try connect(database)
        try writer.execute("BEGIN; CREATE TABLE u(a); INSERT INTO t VALUES(1); COMMIT")
        #expect(log.wait { $0.inserted(1) })
        try writer.execute("INSERT INTO t VALUES(zeroblob(200000))")
        #expect(log.waitForTransactions(2))
        #expect(log.all.contains { $0.hasNotice(containing: "has grown past") })
        let unknown = log.transactions[1].changes.events.map { event in
            // The schema is as it was reported before.
            if case .rows(let rows) = event { rows.countsAreKnown ? "rows" : "unknown" } else { "schema" }
        }
        #expect(unknown == ["unknown", "unknown"])
        #expect(!log.all.contains { $0.isEpoch(.stateLost) })
        try writer.execute("DELETE FROM t WHERE a <> 1; VACUUM")
        #expect(log.wait { $0.isEpoch(.stateLost) })
        try writer.execute("INSERT INTO t VALUES(2)")
        #expect(log.wait { $0.inserted(2) })
    }

    @Test func `the watcher waits for an exclusive owner, and reports it`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let owner = try connect(database)
        try owner.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE; INSERT INTO t VALUES(1); COMMIT")
        var limits = WatcherLimits()
        limits.busyTimeout = .milliseconds(20)
        limits.reopenInterval = .milliseconds(20)
        let log = EventLog()
        let watcher = try watch(database, log, limits)
        defer { watcher.stop() }
        #expect(log.wait { $0.isGone })
        owner.close()
        #expect(log.wait { $0.isBack })
        try connect(database).execute("INSERT INTO t VALUES(3)")
        #expect(log.wait { $0.inserted(3) })
    }

    @Test func `the watcher waits for an exclusive owner of a file with a rollback journal, and reports it`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: "delete")
        var limits = WatcherLimits()
        limits.busyTimeout = .milliseconds(20)
        let log = EventLog()
        let watcher = try watch(database, log, limits)
        defer { watcher.stop() }
        let owner = try connect(database)
        try owner.execute("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1)")
        #expect(log.wait { $0.hasNotice(containing: "has been locked") })
        try owner.execute("INSERT INTO t VALUES(2)")
        owner.close()
        #expect(log.wait { $0.inserted(2) })
        #expect(log.transactions.map(\.changes.insertedIntegers) == [[1, 2]])
    }

    @Test func `a header that a killed writer left torn is recovered`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        let writer = try connect(database)
        try writer.execute("INSERT INTO t VALUES(1)")
        #expect(log.wait { $0.inserted(1) })
        let outcome = try ForeignWriterProcess(database.path, ["mode=tear"]).finish()
        #expect(outcome.status == 0)
        try writer.execute("INSERT INTO t VALUES(2)")
        #expect(log.wait { $0.inserted(2) })
        #expect(log.transactions.map(\.changes.insertedIntegers) == [[1], [2]])
    }

    @Test func `a sink that is slow loses nothing`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let gate = Monitor(false)
        let log = EventLog { _ in _ = gate.wait(atMost: .seconds(60)) { $0 ? true : nil } }
        let watcher = try watch(database, log)
        defer { watcher.stop() }
        let writer = try connect(database)
        for value in 0..<300 {
            try writer.execute("INSERT INTO t VALUES(\(value))")
            if value % 50 == 0 { try writer.checkpoint(.passive) }
        }
        gate.update { $0 = true }
        #expect(log.waitForTransactions(300))
        #expect(log.transactions.map(\.changes.insertedIntegers) == (0..<300).map { [$0] })
    }

    @Test func `a read job sees exactly what was reported`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = EventLog()
        let watcher = try watch(database, log)
        let writer = Task.detached {
            let writer = try Connection(path: database.path, mode: .readWrite)
            for value in 0..<500 { try writer.execute("INSERT INTO t VALUES(\(value))") }
        }
        for _ in 0..<20 {
            let seen = try await watcher.read { connection throws(SQLiteError) in
                (try connection.query("SELECT count(*) FROM t").first?.first, log.transactions.count)
            }
            #expect(seen.0 == .integer(Int64(seen.1)))
        }
        try await writer.value
        watcher.stop()
        await #expect(throws: WatchError.stopped) { try await watcher.read { connection throws(SQLiteError) in 0 } }
    }

    @Test func `a watcher that is killed harms neither the writers nor the next watcher`() throws {
        let database = try TemporaryDatabase()
        #expect(try ForeignWriterProcess(database.path, ["mode=create", "page=1024"]).finish().status == 0)
        let probe = Process()
        let output = Pipe()
        probe.executableURL = ForeignWriterProcess.executable("WatchProbe")
        probe.arguments = [database.path]
        probe.standardOutput = output
        try probe.run()
        // It prints a line once it watches.
        #expect(!output.fileHandleForReading.availableData.isEmpty)
        let random = ["mode=random", "seed=\(OracleSettings.seed)", "transactions=60"]
        let writer = try ForeignWriterProcess(database.path, random + ["writer=0"])
        kill(probe.processIdentifier, SIGKILL)
        probe.waitUntilExit()
        #expect(try writer.finish().status == 0)

        let sink = try OracleSink(digestEvery: 5)
        try sink.replica.load(from: connect(database))
        let watcher = try DatabaseWatcher(path: database.path, sink: sink)
        try watcher.start()
        #expect(try ForeignWriterProcess(database.path, random + ["writer=1"]).finish().status == 0)
        #expect(sink.wait(for: .init(writer: 1, sequence: 60)))
        watcher.stop()
        #expect(sink.replica.complaints == [])
        #expect(sink.reported.map(\.sequence) == Array(1...60))
    }

    @Test func `a watcher that is stopped and started again follows exactly from there`() throws {
        let database = try TemporaryDatabase()
        #expect(try ForeignWriterProcess(database.path, ["mode=create"]).finish().status == 0)
        for round in 0..<3 {
            let sink = try OracleSink(digestEvery: 5)
            try sink.replica.load(from: connect(database))
            let watcher = try DatabaseWatcher(path: database.path, sink: sink)
            try watcher.start()
            let random = ["mode=random", "seed=\(OracleSettings.seed)", "transactions=20"]
            #expect(try ForeignWriterProcess(database.path, random + ["writer=\(round)"]).finish().status == 0)
            #expect(sink.wait(for: .init(writer: Int64(round), sequence: 20)))
            watcher.stop()
            #expect(sink.replica.complaints == [])
            // This database is not watched.
            try connect(database).execute("INSERT INTO ledger(writer, seq) VALUES(1000, \(round))")
        }
    }
}
