import Synchronization

/// Which database files this process has open, and whose wal-index was deleted meanwhile.
///
/// All connections of a process to one file share one mapping of its `-shm` file, and SQLite opens that file anew only when the
/// last of them is closed. When somebody deletes it meanwhile, other processes make a new one, of which ours would know
/// nothing: what they commit is not seen here, and overwritten in the log by our next commit. So from the moment that this is
/// noticed on, connections are closed without copying or deleting the log, and none is opened until the last old one is gone.
///
/// Thread-safe. Source: [WAL-mode file format](https://sqlite.org/walformat.html#shm).
enum OpenDatabases {
    private struct Entry {
        var connectionCount = 0
        var isIndexLost = false
    }

    private static let entries = Mutex<[FileIdentity: Entry]>([:])

    /// Counts one more connection; false when none may be opened now.
    static func add(_ file: FileIdentity) -> Bool {
        entries.withLock { entries in
            guard entries[file]?.isIndexLost != true else { return false }
            entries[file, default: Entry()].connectionCount += 1
            return true
        }
    }

    static func remove(_ file: FileIdentity) {
        entries.withLock { entries in
            guard var entry = entries[file] else { return }
            entry.connectionCount -= 1
            entries[file] = entry.connectionCount > 0 ? entry : nil
        }
    }

    /// Every connection that is open now is to be closed.
    static func loseIndex(of file: FileIdentity) {
        entries.withLock { $0[file]?.isIndexLost = true }
    }

    static func isIndexLost(of file: FileIdentity) -> Bool {
        entries.withLock { $0[file]?.isIndexLost ?? false }
    }
}
