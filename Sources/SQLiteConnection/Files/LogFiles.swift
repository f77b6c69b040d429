/// The write-ahead log and its index that the connections of this process to one database have open.
///
/// SQLite does not notice that another program deletes them, and goes on writing files without a name: a later process finds
/// none of these commits.
package struct LogFiles: Sendable {
    private let logPath: String
    private let indexPath: String
    private let log: FileIdentity?
    private let index: FileIdentity?

    /// The files that have the names now. Call it while a connection has the log open, and soon after it was opened.
    ///
    /// - Parameter databasePath: absolute, with symbolic links resolved.
    package init(databasePath: String) {
        logPath = databasePath + "-wal"
        indexPath = databasePath + "-shm"
        log = FileIdentity(path: logPath)
        index = FileIdentity(path: indexPath)
    }

    /// Whether the names still belong to these files. A file that did not have its name at first is not missed: a process that
    /// locks the database exclusively has no index.
    package var areInPlace: Bool {
        (log == nil || log == FileIdentity(path: logPath)) && isIndexInPlace
    }

    private var isIndexInPlace: Bool { index == nil || index == FileIdentity(path: indexPath) }

    /// Whether the log was deleted and no process has written another one: a connection that has it open can still copy its
    /// frames into the database.
    package var isOnlyLogDeleted: Bool {
        guard index != nil, isIndexInPlace else { return false }
        // Opening a connection creates an empty log.
        return FileStamp(path: logPath).map { $0.identity != log && $0.byteCount == 0 } ?? true
    }
}
