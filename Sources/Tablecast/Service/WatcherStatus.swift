import ChangeCapture
import SQLiteConnection

/// Whether the watcher moves, from what is known without asking SQLite: cheap enough for anyone to ask.
package struct WatcherStatus: Sendable, Hashable {
    /// How long ago its thread was last seen moving; an idle one moves every 50 ms. Nil where there is none.
    package var heartbeatAge: Duration?
    /// Commits of the service's own writer that it has not delivered.
    package var commitsBehind: Int
    /// Why the file cannot be read now; nil while it is watched.
    package var goneBecause: String?

    /// A watcher that reads a transaction of millions of rows does not move for seconds.
    static let maxHeartbeatAge = Duration.seconds(30)

    package var isMoving: Bool { heartbeatAge.map { $0 <= Self.maxHeartbeatAge } ?? false }
}

extension TablecastService {
    package var watcherStatus: WatcherStatus {
        var status = feed.status
        if status.goneBecause == nil, FileIdentity(path: configuration.path) == nil {
            status.goneBecause = "there is no file \(configuration.path)"
        }
        return status
    }
}
