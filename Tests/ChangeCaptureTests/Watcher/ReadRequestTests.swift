import SQLiteConnection
import Synchronization
import Testing

@testable import ChangeCapture

/// Read transactions at exactly the position that was delivered.
@Suite struct ReadRequestTests {
    /// Counts transactions, and commits another one during each delivery, so that the watcher never catches up.
    private final class RestlessSink: DatabaseEventSink {
        private struct State {
            var writer: Connection?
            var delivered = 0
        }

        // The connection is used on the watcher's thread alone once the test has handed it over.
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

    @Test func `requests are refused once the watcher has stopped`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let watcher = try DatabaseWatcher(path: database.path, sink: EventLog())
        try watcher.start()
        watcher.stop()
        await #expect(throws: WatchError.stopped) { _ = try await watcher.beginRead {} }
    }
}
