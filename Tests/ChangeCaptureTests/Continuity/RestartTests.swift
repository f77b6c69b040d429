import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// A sink that keeps the captured state, as a service does.
private final class RestartLog: ContinuitySink {
    struct Kept {
        var state = CapturedState()
        var beginnings: [EpochReason?] = []
        var lines: [[String]] = []
    }

    private let kept: Monitor<Kept>

    init(_ state: CapturedState = CapturedState(boot: BootIdentity.current)) { kept = Monitor(Kept(state: state)) }

    var state: CapturedState { kept.withLock { $0.state } }
    var beginnings: [EpochReason?] { kept.withLock { $0.beginnings } }
    var lines: [[String]] { kept.withLock { $0.lines } }

    let keepsState = true

    func receive(_ event: DatabaseEvent) {
        guard case .transaction(let transaction) = event else { return }
        kept.update { kept in
            kept.lines.append(transaction.changes.lines)
            kept.state.reach(transaction.logMark)
        }
    }

    func began(breach: EpochReason?) {
        kept.update { kept in
            kept.beginnings.append(breach)
            if breach != nil { kept.state = CapturedState(boot: BootIdentity.current) }
        }
    }

    func reached(_ mark: LogMark) {
        kept.update { kept in
            if kept.state.log != mark { kept.state.reach(mark) }
        }
    }

    func sealed(_ seal: FileSeal) { kept.update { $0.state.seal = seal } }

    func waitForTransactions(_ count: Int) -> Bool {
        kept.wait(atMost: .seconds(30)) { $0.lines.count >= count ? true : nil } ?? false
    }

    func waitForSeal() -> Bool {
        kept.wait(atMost: .seconds(30)) { $0.state.seal != nil ? true : nil } ?? false
    }
}

/// What a watcher learns of the commits made between two watchers.
@Suite struct RestartTests {
    private static let setUp = "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1, 'one'), (2, 'two')"

    /// - Parameter prepares: whether stopping prepares the next start; otherwise as if it was killed.
    private func watch(
        _ database: TemporaryDatabase,
        _ log: RestartLog,
        continuing state: CapturedState? = nil,
        prepares: Bool = false
    ) throws -> DatabaseWatcher {
        var limits = WatcherLimits()
        // Long enough on a busy machine; it ends when the restart is prepared.
        limits.restartPreparation = prepares ? .seconds(10) : .zero
        let watcher = try DatabaseWatcher(path: database.path, sink: log, limits: limits, continuing: state)
        try watcher.start()
        return watcher
    }

    private func connect(_ database: TemporaryDatabase, checkpoints: Bool = false) throws -> Connection {
        let connection = try Connection(path: database.path, mode: .readWrite)
        connection.setBusyTimeout(.seconds(10))
        if !checkpoints { try connection.execute("PRAGMA wal_autocheckpoint=0") }
        return connection
    }

    /// Runs a watcher over a first commit, then `between` without one, then a second watcher.
    ///
    /// - Returns: why the second one does not continue, and the transactions that it reports.
    private func restart(
        _ database: TemporaryDatabase,
        prepares: Bool = false,
        first: String? = "UPDATE t SET a = 'eins' WHERE id = 1",
        expecting count: Int,
        between: (Connection) throws -> Void
    ) throws -> (breach: EpochReason?, lines: [[String]]) {
        let writer = try connect(database)
        let one = RestartLog()
        let watcher = try watch(database, one, prepares: prepares)
        if let first {
            try writer.execute(first)
            #expect(one.waitForTransactions(1))
        }
        watcher.stop()
        try between(writer)
        let two = RestartLog(one.state)
        let second = try watch(database, two, continuing: one.state)
        let isComplete = count == 0 || two.waitForTransactions(count)
        second.stop()
        #expect(isComplete)
        #expect(two.beginnings.count == 1)
        return (two.beginnings.first ?? nil, two.lines)
    }

    @Test func `commits meanwhile are reported one by one, with old values`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, lines) = try restart(database, expecting: 3) { writer in
            try writer.execute("UPDATE t SET a = 'zwei' WHERE id = 2")
            try writer.execute("INSERT INTO t VALUES(3, 'drei')")
            try writer.execute("UPDATE t SET a = 'deux' WHERE id = 2")
        }
        #expect(breach == nil)
        #expect(lines.count == 3)
        #expect(lines[0].contains { $0.contains("two") && $0.contains("zwei") })
        #expect(lines[2].contains { $0.contains("zwei") && $0.contains("deux") })
    }

    @Test func `commits meanwhile that change the schema are reported with the schema of each`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, lines) = try restart(database, expecting: 3) { writer in
            try writer.execute("CREATE TABLE u(x)")
            try writer.execute("INSERT INTO u VALUES(5)")
            try writer.execute("ALTER TABLE t ADD COLUMN b DEFAULT 7")
        }
        #expect(breach == nil)
        #expect(lines.count == 3)
    }

    @Test func `without a commit meanwhile nothing is reported`() throws {
        let (breach, lines) = try restart(try TemporaryDatabase(Self.setUp), expecting: 0) { _ in }
        #expect(breach == nil)
        #expect(lines == [])
    }

    @Test func `commits before the first watcher are not reported by the second`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let early = try connect(database)
        try early.execute("INSERT INTO t VALUES(10, 'early')")
        let (breach, lines) = try restart(database, first: nil, expecting: 1) { writer in
            try writer.execute("INSERT INTO t VALUES(11, 'late')")
        }
        #expect(breach == nil)
        #expect(lines.count == 1)
        #expect(lines.first?.contains { $0.contains("late") } == true)
    }

    @Test func `a stop that prepares the restart is continued after the log is gone`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, lines) = try restart(database, prepares: true, expecting: 0) { writer in
            writer.close()
            #expect(!FileManager.default.fileExists(atPath: database.path + "-wal"))
        }
        #expect(breach == nil)
        #expect(lines == [])
    }

    @Test func `a stop prepares the restart while another process commits without pauses`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let isEnded = Monitor(false)
        let log = RestartLog()
        let watcher = try watch(database, log, prepares: true)
        let path = database.path
        let thread = try NamedThread(name: "writer") {
            guard let writer = try? Connection(path: path, mode: .readWrite) else { return }
            writer.setBusyTimeout(.seconds(10))
            while isEnded.withLock({ !$0 }) { try? writer.execute("UPDATE t SET a = random() WHERE id = 1") }
        }
        #expect(log.waitForTransactions(100))
        watcher.stop()
        isEnded.update { $0 = true }
        thread.join()
        #expect(log.state.seal != nil)
    }

    @Test func `after a prepared stop the commits of a new log are reported`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        var later: Connection?
        let (breach, lines) = try restart(database, prepares: true, expecting: 1) { writer in
            writer.close()
            later = try connect(database)
            try later?.execute("UPDATE t SET a = 'zwei' WHERE id = 2")
        }
        #expect(breach == nil)
        #expect(lines.count == 1)
        #expect(lines.first?.contains { $0.contains("two") && $0.contains("zwei") } == true)
        later?.close()
    }

    @Test func `after a prepared stop the commits of a restarted log are reported`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, lines) = try restart(database, prepares: true, expecting: 1) { writer in
            // Every frame is copied and there is no reader: the log starts again.
            try writer.execute("INSERT INTO t VALUES(4, 'vier')")
        }
        #expect(breach == nil)
        #expect(lines.count == 1)
    }

    @Test func `commits that were copied into the file and deleted with the log are unknown`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, lines) = try restart(database, prepares: true, expecting: 0) { writer in
            try writer.execute("UPDATE t SET a = 'zwei' WHERE id = 2")
            writer.close()
        }
        #expect(breach?.code == .restarted)
        #expect(lines == [])
    }

    @Test func `commits that were copied into the file and are still in the log are unknown`() throws {
        let database = try TemporaryDatabase(Self.setUp + "; CREATE TABLE u(x)")
        let (breach, _) = try restart(database, expecting: 0) { writer in
            try writer.execute("INSERT INTO u VALUES(5)")
            _ = try writer.checkpoint(.passive)
        }
        #expect(breach?.code == .restarted)
        #expect(breach?.message.contains("the old content of page") == true)
    }

    @Test func `pages that the log has from before are enough`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, lines) = try restart(database, expecting: 1) { writer in
            // The same page again.
            try writer.execute("UPDATE t SET a = 'uno' WHERE id = 1")
            _ = try writer.checkpoint(.passive)
        }
        #expect(breach == nil)
        #expect(lines.count == 1)
        #expect(lines.first?.contains { $0.contains("eins") && $0.contains("uno") } == true)
    }

    /// What a kill of the only process leaves: the index is recovered, and does not say any more what was copied.
    @Test func `pages that no checkpoint has overwritten are found after a recovery`() throws {
        let database = try TemporaryDatabase(Self.setUp + "; CREATE TABLE u(x)")
        let (breach, lines) = try restart(database, expecting: 2) { writer in
            try writer.execute("INSERT INTO u VALUES(5)")
            try writer.execute("INSERT INTO u VALUES(6)")
            try writer.configure(.noCheckpointOnClose, true)
            writer.close()
            #expect(FileManager.default.fileExists(atPath: database.path + "-wal"))
        }
        #expect(breach == nil)
        #expect(lines.count == 2)
    }

    @Test func `a log that was restarted after unknown commits is not continued`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, _) = try restart(database, expecting: 0) { writer in
            try writer.execute("UPDATE t SET a = 'uno' WHERE id = 1")
            _ = try writer.checkpoint(.truncate)
            try writer.execute("UPDATE t SET a = 'eins' WHERE id = 1")
        }
        #expect(breach?.code == .restarted)
    }

    /// The same content is no proof: commits that undo each other were commits.
    @Test func `a file that was written back to the same content is not continued`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (breach, _) = try restart(database, prepares: true, expecting: 0) { writer in
            try writer.execute("UPDATE t SET a = 'xxxx' WHERE id = 1")
            _ = try writer.checkpoint(.truncate)
            try writer.execute("UPDATE t SET a = 'eins' WHERE id = 1")
            _ = try writer.checkpoint(.truncate)
        }
        #expect(breach?.code == .restarted)
    }

    @Test func `a VACUUM meanwhile is reported, or is unknown`() throws {
        let database = try TemporaryDatabase(
            Self.setUp + "; CREATE TABLE big(x); INSERT INTO big VALUES(zeroblob(200000))"
        )
        let (breach, lines) = try restart(database, expecting: 2) { writer in
            try writer.execute("DROP TABLE big")
            try writer.execute("VACUUM")
            try writer.execute("INSERT INTO t VALUES(9, 'nine')")
        }
        #expect(breach == nil)
        #expect(lines.last?.contains { $0.contains("nine") } == true)
    }

    @Test func `the state of another file is not continued`() throws {
        let database = try TemporaryDatabase(Self.setUp)
        let one = RestartLog()
        let watcher = try watch(database, one, prepares: true)
        watcher.stop()
        let other = try TemporaryDatabase(Self.setUp)
        let two = RestartLog()
        let second = try watch(other, two, continuing: one.state)
        second.stop()
        #expect(two.beginnings.map { $0?.code } == [.restarted])
    }

    @Test func `with a rollback journal an unchanged file is continued, a written one is not`() throws {
        let database = try TemporaryDatabase(Self.setUp, journalMode: "delete")
        let one = RestartLog()
        let watcher = try watch(database, one)
        let writer = try connect(database)
        try writer.execute("UPDATE t SET a = 'eins' WHERE id = 1")
        #expect(one.waitForTransactions(1))
        #expect(one.waitForSeal())
        watcher.stop()

        let two = RestartLog(one.state)
        try watch(database, two, continuing: one.state).stop()
        #expect(two.beginnings == [nil])

        try writer.execute("UPDATE t SET a = 'uno' WHERE id = 1")
        let three = RestartLog(one.state)
        try watch(database, three, continuing: one.state).stop()
        #expect(three.beginnings.map { $0?.code } == [.restarted])
    }
}
