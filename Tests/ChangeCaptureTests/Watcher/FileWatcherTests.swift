import ChangeCapture
import Foundation
import SQLiteConnection
import Testing

/// The public face, used as an app uses it.
@Suite struct FileWatcherTests {
    private func write(_ database: TemporaryDatabase, _ sql: String) throws {
        let connection = try Connection(path: database.path, mode: .readWrite)
        connection.setBusyTimeout(.seconds(10))
        try connection.execute(sql)
    }

    @Test func `five lines follow a file`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a, b)")
        let watcher = try FileWatcher(path: database.path)
        try write(database, "INSERT INTO t VALUES(1, 'one'); UPDATE t SET b = 'two'; DELETE FROM t")
        var seen: [String] = []
        for try await transaction in watcher.changes {
            for case .rows(let rows) in transaction.events {
                for row in rows.rows {
                    seen.append("\(row.operation) \(row.before?[1] ?? .null) \(row.after?[1] ?? .null)")
                }
            }
            if seen.count == 3 { break }
        }
        #expect(seen[0].hasPrefix("insert") && seen[0].contains("one"))
        #expect(seen[1].hasPrefix("update") && seen[1].contains("one") && seen[1].contains("two"))
        #expect(seen[2].hasPrefix("delete") && seen[2].contains("two"))
    }

    @Test func `a cancelled task ends the iteration and closes the file`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let task = Task {
            var count = 0
            for try await _ in try FileWatcher(path: database.path).changes { count += 1 }
            return count
        }
        task.cancel()
        #expect(try await task.value == 0)
    }

    @Test func `a reader that falls too far behind gets an error after the buffered transactions`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let watcher = try FileWatcher(path: database.path, maxBufferedTransactions: 3)
        for value in 0..<10 { try write(database, "INSERT INTO t VALUES(\(value))") }
        var received = 0
        let error = await #expect(throws: WatchError.self) {
            for try await _ in watcher.changes { received += 1 }
        }
        #expect(error == .bufferOverflow(maxTransactions: 3))
        #expect(received == 3)
    }

    @Test func `changes end with an error where continuity ends, events go on`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let first = try FileWatcher(path: database.path)
        let second = try FileWatcher(path: database.path)
        let other = try TemporaryDatabase("CREATE TABLE u(a)")
        #expect(rename(other.path, database.path) == 0)
        let error = await #expect(throws: WatchError.self) { for try await _ in first.changes {} }
        #expect(error == .discontinuity(.replaced))
        for try await event in second.events {
            if case .epochChanged(let reason) = event {
                #expect(reason == .replaced)
                break
            }
        }
    }

    @Test func `a file that is not there is refused`() {
        #expect(throws: WatchError.noFile(path: "/nonexistent/my.db")) {
            _ = try FileWatcher(path: "/nonexistent/my.db")
        }
    }
}
