import CSQLite
import Synchronization

/// The SQLite library at run time, which can differ from the one at build time.
package enum Library {
    /// The oldest version that has every function used here: `sqlite3_error_offset`, and `RETURNING` with current
    /// fixes.
    package static let minimumVersionNumber = 3_038_000

    package static var version: String { String(cString: sqlite3_libversion()) }

    /// For example 3040001 for 3.40.1.
    package static var versionNumber: Int { Int(sqlite3_libversion_number()) }

    /// Whether rows can be captured with their values through
    /// [`sqlite3_preupdate_hook`](https://sqlite.org/c3ref/preupdate_blobwrite.html).
    package static var hasPreUpdateHook: Bool {
        csqlite_has_preupdate_hook() != 0 && isCompiled(with: "ENABLE_PREUPDATE_HOOK")
    }

    package static var isThreadSafe: Bool { sqlite3_threadsafe() != 0 }

    /// Whether the library was built with an option, named without its `SQLITE_` prefix.
    package static func isCompiled(with option: String) -> Bool {
        sqlite3_compileoption_used(option) != 0
    }

    /// Whether an unlock that fails is retried, on every connection of the process: SQLite ignores the failure and keeps the
    /// lock. False if the VFS of the library cannot be changed.
    static let retriesUnlocks = csqlite_retry_unlocks() == SQLITE_OK

    /// What this process cannot bound or retry, each as a sentence for the operator; empty where everything is in place.
    package static let limitations: [String] = {
        // In this order: the layer over the allocator has to be installed before the first connection.
        var found: [String] = []
        if !HeapAccounting.isInstalled {
            found.append(
                "the memory of single queries is not limited, only that of all: the process used SQLite before the service"
            )
        }
        if TemporaryFileVFS.name == nil {
            found.append(
                "the temporary files of queries are not limited: the file system layer of SQLite cannot be extended"
            )
        }
        if !TextSearchModules.areBounded {
            found.append(
                "full-text searches are limited only by the memory of a query, so one can run beyond its deadline: the system does not permit changing the memory protection of the SQLite library (mprotect)"
            )
        }
        if !retriesUnlocks {
            found.append(
                "unlocking a file that fails is not retried: the file system layer of SQLite cannot be changed"
            )
        }
        return found
    }()

    /// Throws an error with the found and the required version or option when the library cannot carry the service at
    /// all.
    package static func requireUsable() throws(SQLiteError) {
        if versionNumber < minimumVersionNumber {
            throw SQLiteError(
                code: .misuse,
                message: "the SQLite library is version \(version); 3.38.0 or later is needed"
            )
        }
        if !isThreadSafe {
            throw SQLiteError(
                code: .misuse,
                message:
                    "the SQLite library was built with SQLITE_THREADSAFE=0; connections on several threads are needed"
            )
        }
    }
}

/// The database files that this process has open, and whether another program deleted or damaged their log meanwhile.
///
/// All connections of a process to one file share one mapping of its `-shm` file, and SQLite opens that file again only
/// when the last of them is closed. When another process deletes it meanwhile, other processes create a new one that
/// ours does not use: this process does not see their commits, and its next commit overwrites them in the log. What is
/// committed to a deleted log is gone when the last connection to it is closed. So once the loss is detected, connections
/// are closed without copying or deleting the log, and none is opened until the last old one is closed.
///
/// Thread-safe. Source: [WAL-mode file format](https://sqlite.org/walformat.html#shm).
enum OpenDatabases {
    private struct Entry {
        var connectionCount = 0
        var isLogLost = false
    }

    private static let entries = Mutex<[FileIdentity: Entry]>([:])

    /// Counts one more connection; false when no connection may be opened now.
    static func add(_ file: FileIdentity) -> Bool {
        entries.withLock { entries in
            guard entries[file]?.isLogLost != true else { return false }
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

    /// All connections that are open now must be closed.
    static func loseLog(of file: FileIdentity) {
        entries.withLock { $0[file]?.isLogLost = true }
    }

    static func isLogLost(of file: FileIdentity) -> Bool {
        entries.withLock { $0[file]?.isLogLost ?? false }
    }
}
