import Foundation
import SQLiteConnection

/// A database file in its own directory, removed at the end.
final class TemporaryDatabase: Sendable {
    let path: String
    private let directory: URL

    init(_ sql: String = "", journalMode: String = "WAL") throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("tablecast-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        path = directory.appendingPathComponent("test.db").path
        let connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute("PRAGMA journal_mode = \(journalMode); PRAGMA synchronous = OFF")
        try connection.execute(sql)
        connection.close()
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// Queries a plain connection.
    func query(_ sql: String) throws -> [[SQLiteValue]] {
        let connection = try Connection(path: path, mode: .readWrite)
        // The service may be opening its connections.
        connection.setBusyTimeout(.seconds(10))
        defer { connection.close() }
        return try connection.query(sql)
    }

    /// Runs a script on a plain connection, like another process.
    func execute(_ sql: String) throws {
        let connection = try Connection(path: path, mode: .readWrite)
        connection.setBusyTimeout(.seconds(10))
        defer { connection.close() }
        try connection.execute(sql)
    }
}
