import Foundation
import SQLiteConnection

/// A database in its own directory, which is removed with the object.
final class TemporaryDatabase {
    let directory: URL
    var path: String { directory.appendingPathComponent("test.db").path }

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("tablecast-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// An empty database in WAL mode with these tables.
    convenience init(_ sql: String, journalMode: String = "wal") throws {
        try self.init()
        let connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute("PRAGMA journal_mode=\(journalMode)")
        try connection.execute(sql)
        connection.close()
    }
}
