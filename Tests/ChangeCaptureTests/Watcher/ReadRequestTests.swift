import SQLiteConnection
import Synchronization
import Testing

@testable import ChangeCapture

/// Read transactions at exactly the delivered position.
@Suite struct ReadRequestTests {
    /// Counts transactions, and commits another one during each delivery, so that the watcher never catches up.
    private final class RestlessSink: DatabaseEventSink {
        private struct State {
            var writer: Connection?
            var delivered = 0
        }

        // After the test has passed the connection on, only the watcher's thread uses it.
        private let state: Mutex<State>

        init(_ writer: sending Connection) { state = Mutex(State(writer: writer)) }

        var delivered: Int { state.withLock { $0.delivered } }

        func rest() { state.withLock { $0.writer = nil } }

        func receive(_ event: DatabaseEvent) {
            guard case .transaction = event else { return }
            state.withLock { state in
                state.delivered += 1
                try? state.writer?.execute("INSERT INTO t VALUES(1)")
            }
        }
    }

    @Test func `a watcher that is always behind answers with what it comes to`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let sink = RestlessSink(try Connection(path: database.path, mode: .readWrite))
        let watcher = try DatabaseWatcher(path: database.path, sink: sink)
        try watcher.start()
        let first = try Connection(path: database.path, mode: .readWrite)
        try first.execute("INSERT INTO t VALUES(0)")
        for _ in 0..<20 {
            let (transaction, delivered) = try await watcher.beginRead { sink.delivered }
            #expect(try transaction.connection.query("SELECT count(*) FROM t") == [[.integer(Int64(delivered))]])
            transaction.end()
        }
        sink.rest()
        watcher.stop()
    }

    /// The log is restarted after each commit here, by the writer or by the watcher.
    @Test(arguments: [1, 0])
    func `a request is answered wherever in the life of the log its transaction begins`(
        autocheckpoint: Int
    ) async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        var limits = WatcherLimits()
        if autocheckpoint == 0 { (limits.forcedRestartFrameCount, limits.pacedRestartFrameCount) = (1, 1) }
        let watcher = try DatabaseWatcher(path: database.path, sink: EventLog(), limits: limits)
        try watcher.start()
        let asking = Asking()
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 { group.addTask { try await asking.run(watcher) } }
            let writer = try Connection(path: database.path, mode: .readWrite)
            writer.setBusyTimeout(.seconds(10))
            try writer.execute("PRAGMA wal_autocheckpoint = \(autocheckpoint); PRAGMA synchronous = OFF")
            for _ in 0..<20_000 { try writer.execute("INSERT INTO t VALUES(1)") }
            asking.isOver.store(true, ordering: .sequentiallyConsistent)
            // Nothing is written any more: when a request is answered, all earlier ones must have been answered too.
            for _ in 0..<1_000 where asking.unanswered.load(ordering: .sequentiallyConsistent) > 0 {
                try await watcher.beginRead {}.transaction.end()
            }
            #expect(asking.unanswered.load(ordering: .sequentiallyConsistent) == 0)
            // Which refuses those that hang.
            watcher.stop()
            try await group.waitForAll()
        }
    }

    private final class Asking: Sendable {
        let isOver = Atomic(false)
        let unanswered = Atomic(0)

        func run(_ watcher: DatabaseWatcher) async throws {
            while !isOver.load(ordering: .sequentiallyConsistent) {
                unanswered.add(1, ordering: .sequentiallyConsistent)
                try await watcher.beginRead {}.transaction.end()
                unanswered.subtract(1, ordering: .sequentiallyConsistent)
            }
        }
    }

    @Test func `requests are refused once the watcher has stopped`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let watcher = try DatabaseWatcher(path: database.path, sink: EventLog())
        try watcher.start()
        watcher.stop()
        await #expect(throws: WatchError.stopped) { _ = try await watcher.beginRead {} }
    }
}
