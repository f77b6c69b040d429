import SQLiteConnection
import Synchronization

/// Which file the path of the database named last, and when: one look serves every query that was submitted before it, on any
/// connection to that file. Thread-safe.
final class FileCheck: Sendable {
    private struct Look {
        var file: FileIdentity
        var at: ContinuousClock.Instant
    }

    private let last = Mutex<Look?>(nil)

    /// Whether the path named the connection's file at some time since.
    ///
    /// - Parameter submittedAt: a query must use a file that had the name then or later.
    func isInPlace(_ connection: Connection, since submittedAt: ContinuousClock.Instant) -> Bool {
        guard let file = connection.file else { return true }
        let isKnown = last.withLock { $0.map { $0.file == file && $0.at >= submittedAt } ?? false }
        return isKnown || isInPlace(connection)
    }

    /// Whether the path names the connection's file now.
    func isInPlace(_ connection: Connection) -> Bool {
        let now = ContinuousClock.now
        guard connection.isFileInPlace else { return false }
        if let file = connection.file { last.withLock { $0 = Look(file: file, at: now) } }
        return true
    }
}
