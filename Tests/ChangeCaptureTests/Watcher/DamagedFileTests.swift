import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// What becomes of a watcher when its file is damaged or taken away beneath it, in WAL mode and with a rollback journal.
@Suite struct DamagedFileTests {
    private static let journalModes = ["wal", "delete"]

    private func write(_ bytes: Data, over path: String) throws {
        // In place: the same file, as an editor or `cp` leaves it.
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: bytes)
        try file.close()
    }

    /// Changes the file by `damage` while it is watched, puts the old bytes back by `rename`, and expects to be followed again.
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
        // What is committed before the file is opened again is part of the new epoch's beginning, and not told.
        let isFollowed = try (1...100).contains { value in
            try writer.execute("INSERT INTO t VALUES(\(value))")
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

    @Test(arguments: journalModes) func `a file that is cut off in the middle begins a new epoch`(
        journalMode: String
    ) throws {
        // The second page is the table's.
        _ = try recover(journalMode) { #expect(truncate($0, 4096) == 0) }
    }
}
