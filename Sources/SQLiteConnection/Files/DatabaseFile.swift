import CSQLite

/// The main database file, its wal-index and its lock slots, through SQLite's own handle.
///
/// POSIX drops every lock that a process holds on a file as soon as it closes *any* descriptor of it, so a program that
/// uses SQLite must never open the database or its `-shm` file by itself. This type opens a connection of its own, runs
/// no transaction on it after opening, and uses the handle of its VFS: no second descriptor, and a lock identity
/// separate from every other connection's.
///
/// Not `Sendable`: one thread at a time.
///
/// Source: [How To Corrupt](https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_),
/// [`SQLITE_FCNTL_FILE_POINTER`](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlfilepointer).
package final class DatabaseFile {
    private let connection: Connection
    private let file: UnsafeMutablePointer<sqlite3_file>
    private let methods: sqlite3_io_methods
    private var isClosed = false

    /// Opens the file at `path`. Throws SQLite's error when the file cannot be opened or read: it is not a database, or
    /// another process holds it exclusively.
    package init(path: String, mode: Connection.Mode, busyTimeout: Duration) throws(SQLiteError) {
        let connection = try Connection(path: path, mode: mode)
        connection.setBusyTimeout(busyTimeout)
        // No memory mapping: another process may truncate the file, and an access to the mapping then faults. The last
        // statement opens the log and reads page 1, without the schema, whose parsing takes time.
        try connection.execute("PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0; PRAGMA schema_version")
        var file: UnsafeMutablePointer<sqlite3_file>?
        let code = sqlite3_file_control(connection.handle, "main", SQLITE_FCNTL_FILE_POINTER, &file)
        guard code == SQLITE_OK, let file, let methods = file.pointee.pMethods else {
            throw SQLiteError(code: ResultCode(rawValue: code), message: "SQLite gave no handle of the database file")
        }
        self.connection = connection
        self.file = file
        self.methods = methods.pointee
    }

    /// The absolute path of the file with symbolic links resolved: its log and its wal-index are beside it.
    ///
    /// Source: [`sqlite3_db_filename`](https://sqlite.org/c3ref/db_filename.html).
    package var path: String { sqlite3_db_filename(connection.handle, "main").map { String(cString: $0) } ?? "" }

    /// The log and the index that have the names now.
    package var logFiles: LogFiles { LogFiles(databasePath: path) }

    /// Notes that another program deleted or damaged the log: see ``Connection/loseLog()``.
    package func loseLog() { connection.loseLog() }

    /// See ``Connection/isLogLost``.
    package var isLogLost: Bool { connection.isLogLost }

    /// Copies into the database what the log holds, as far as no reader is in the way.
    package func checkpoint() throws(SQLiteError) { _ = try connection.checkpoint(.passive) }

    /// Closes the connection and with it the locks and the mapping. A ``WALIndex`` must not be read afterwards.
    package func close() {
        isClosed = true
        connection.close()
    }

    /// The journal mode as [`PRAGMA journal_mode`](https://sqlite.org/pragma.html#pragma_journal_mode) names it.
    package func journalMode() throws(SQLiteError) -> String {
        if try isMarkedForLog() { return "wal" }
        guard case .text(let mode)? = try connection.query("PRAGMA journal_mode").first?.first else { return "" }
        return mode
    }

    /// Whether the header names WAL mode as the version to read and to write; every other mode is one of a connection. Unlike
    /// `PRAGMA journal_mode` it does not parse the schema.
    ///
    /// Source: [File format version numbers](https://sqlite.org/fileformat2.html#file_format_version_numbers).
    private func isMarkedForLog() throws(SQLiteError) -> Bool {
        // A transaction that reads page 1: it opens the log if the file is in WAL mode, and no process can change the mode
        // before it ends.
        var transaction = try connection.prepare("PRAGMA schema_version")
        _ = try transaction.step()
        var versions: (UInt8, UInt8) = (0, 0)
        let code = withUnsafeMutableBytes(of: &versions) { methods.xRead?(file, $0.baseAddress, Int32($0.count), 18) }
        transaction.reset()
        return code == SQLITE_OK && versions == (2, 2)
    }

    /// Whether the file, or the file system, is read-only for this process.
    package var isReadOnly: Bool { sqlite3_db_readonly(connection.handle, "main") != 0 }

    /// The hot rollback journal of a writer that died, as far as can be determined without a lock: the journal exists,
    /// and no process is writing. The next reader rolls it back. Nil when there is none; the same value for the same
    /// journal.
    ///
    /// Source: [Hot Rollback Journals](https://sqlite.org/lockingv3.html#hot_journals).
    package var abandonedJournal: FileStamp? {
        guard let journal = FileStamp(path: path + "-journal"), journal.byteCount > 0, !isClosed else { return nil }
        var isReserved: Int32 = 0
        guard methods.xCheckReservedLock?(file, &isReserved) == SQLITE_OK, isReserved == 0 else { return nil }
        return journal
    }

    /// The length of the database file in bytes.
    package func byteCount() throws(SQLiteError) -> Int64 {
        var count: sqlite3_int64 = 0
        try check(methods.xFileSize?(file, &count), "size of the database file")
        return count
    }

    /// Fills `buffer` from the database file, with zeros past its end.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(SQLiteError) {
        let code = isClosed ? nil : methods.xRead?(file, buffer.baseAddress, Int32(buffer.count), offset)
        if let code, code == SQLITE_OK || code == ResultCode.shortRead.rawValue { return }
        try check(code, "read of \(buffer.count) bytes at \(offset)")
    }

    /// The wal-index; nil when there is none: the file is not in WAL mode, or another process uses it exclusively.
    package func walIndex() throws(SQLiteError) -> WALIndex? {
        guard methods.iVersion >= 2, let map = methods.xShmMap else { return nil }
        var memory: UnsafeMutableRawPointer?
        // The first 32 KiB page of the index; this process never extends it.
        let code = map(file, 0, 32 * 1024, 0, &memory)
        // SQLite's result for a process that may only read the index; the mapping is valid.
        if code != SQLITE_READONLY || memory == nil { try check(code, "mapping of the wal-index") }
        return memory.map { WALIndex(memory: UnsafeRawPointer($0), owner: self) }
    }

    /// Tries to take a shared lock; false when another connection holds the exclusive lock. Never waits.
    package func tryLockShared(_ lock: WALLock) -> Bool {
        steer(lock, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED)
    }

    package func unlockShared(_ lock: WALLock) {
        _ = steer(lock, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED)
    }

    private func steer(_ lock: WALLock, _ flags: Int32) -> Bool {
        guard !isClosed, methods.iVersion >= 2, let shmLock = methods.xShmLock else { return false }
        return shmLock(file, lock.slot, 1, flags) == SQLITE_OK
    }

    private func check(_ code: Int32?, _ what: String) throws(SQLiteError) {
        if code == SQLITE_OK { return }
        throw SQLiteError(code: ResultCode(rawValue: code ?? SQLITE_MISUSE), message: "\(what) failed")
    }
}

extension Connection {
    /// Reserves `count` bytes at the end of each page, in a database that is still empty.
    ///
    /// Source: [`SQLITE_FCNTL_RESERVE_BYTES`](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html).
    package func reserveBytes(_ count: Int) throws(SQLiteError) {
        var count = Int32(clamping: count)
        try check(sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &count))
    }
}
