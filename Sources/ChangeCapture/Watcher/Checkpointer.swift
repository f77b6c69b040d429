import SQLiteConnection

/// Runs PASSIVE checkpoints on a thread and a connection of its own, so that capturing does not wait for the disk.
final class Checkpointer: Sendable {
    private struct State {
        var isRequested = false
        var isStopped = false
    }

    private let state: Monitor<State>
    private let thread: BackgroundThread

    init(path: String) throws(WatchError) {
        let state = Monitor(State())
        self.state = state
        thread = try BackgroundThread(name: "tablecast-ckpt") { Self.run(path: path, state: state) }
    }

    /// Asks for a checkpoint; one that runs already counts.
    func request() {
        state.update { $0.isRequested = true }
    }

    /// Waits for a running checkpoint to end, and closes the connection.
    func stop() {
        state.update { $0.isStopped = true }
        thread.join()
    }

    private static func run(path: String, state: Monitor<State>) {
        var connection: Connection?
        while true {
            // The time only bounds the wait; nothing happens when it is over.
            let next: Bool? = state.wait(atMost: .seconds(3_600)) { state in
                if state.isStopped { return false }
                guard state.isRequested else { return nil }
                state.isRequested = false
                return true
            }
            guard next != false else { break }
            guard next == true else { continue }
            if connection == nil { connection = try? open(path) }
            // Busy means that somebody else is doing it.
            _ = try? connection?.checkpoint(.passive)
        }
        connection?.close()
    }

    static func open(_ path: String) throws(SQLiteError) -> Connection {
        let connection = try Connection(path: path, mode: .readWrite)
        try connection.execute("PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; SELECT 1 FROM sqlite_schema")
        return connection
    }
}
