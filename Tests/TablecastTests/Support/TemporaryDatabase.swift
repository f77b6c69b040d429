import Foundation
import SQLiteConnection

/// A database file for one test, removed with the object.
final class TemporaryDatabase: Sendable {
    let path: String
    private let folder: String

    init(_ sql: String = "", journalMode: String = "WAL") throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "tablecast-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
        path = url.path + "/test.db"
        let connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute("PRAGMA journal_mode = \(journalMode); \(sql)")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}
