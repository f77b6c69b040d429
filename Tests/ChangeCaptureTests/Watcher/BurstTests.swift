import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Commits that follow one another without pauses.
@Suite(.serialized) struct BurstTests {
    private final class IDLog: DatabaseEventSink {
        struct State {
            var ids: [Int64] = []
            var others = 0
        }
        let state = Monitor(State())

        func receive(_ event: DatabaseEvent) {
            state.update { state in
                guard case .transaction(let transaction) = event else { return state.others += 1 }
                state.ids += transaction.changes.insertedIntegers
            }
        }
    }

    @Test func `every commit is received once and in order`() throws {
        let database = try TemporaryDatabase(
            "CREATE TABLE paced(id INTEGER PRIMARY KEY, name TEXT, val REAL, n INT, note TEXT)"
        )
        let log = IDLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        defer { watcher.stop() }
        let outcome = try ForeignWriterProcess(
            database.path,
            ["mode=pace", "transactions=8000", "synchronous=OFF"]
        ).finish()
        #expect(outcome.status == 0, "\(outcome.complaints)")
        // The last commit, after a pause, is received as well.
        let last = try Connection(path: database.path, mode: .readWrite)
        last.setBusyTimeout(.seconds(30))
        try last.execute("INSERT INTO paced(id) VALUES (8001)")
        last.close()
        let isComplete = log.state.wait(atMost: .seconds(60)) { $0.ids.last == 8_001 ? true : nil }
        #expect(isComplete == true)
        let state = log.state.withLock { $0 }
        #expect(state.ids == Array(1...8_001))
        #expect(state.others == 0)
    }

    @Test func `a wake signal stays until it is cleared, and can be given again`() throws {
        let wake = try WakeSignal()
        func isReadable() -> Bool {
            var request = pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&request, 1, 0) > 0
        }
        for _ in 0..<3 {
            #expect(!isReadable())
            wake.signal()
            wake.signal()
            #expect(isReadable())
            wake.clear(isReadable: true)
        }
        wake.signal()
        wake.clear(isReadable: false)
        #expect(!isReadable())
    }

    #if os(Linux)
        @Test func `writes are no events while the watcher is awake anyway`() throws {
            let database = try TemporaryDatabase("CREATE TABLE t(a)")
            let events = FileEvents(databasePath: database.path, wake: try WakeSignal())
            let writer = try Connection(path: database.path, mode: .readWrite)
            try writer.execute("INSERT INTO t VALUES (1)")
            _ = events.takeFilesChanged()
            _ = events.drain()
            events.reportsWrites = false
            try writer.execute("INSERT INTO t VALUES (2)")
            #expect(!events.drain())
            events.reportsWrites = true
            try writer.execute("INSERT INTO t VALUES (3)")
            #expect(events.drain())
        }
    #endif
}
