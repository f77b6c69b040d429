import CSQLite

/// One connection to a database, and the only owner of its C handle.
///
/// Not `Sendable`: it belongs to one thread at a time (the handle is opened with `SQLITE_OPEN_NOMUTEX`). The one exception
/// is ``interruptHandle``.
///
/// Source: [SQLite C interface](https://sqlite.org/c3ref/intro.html).
package final class Connection {
    package enum Mode: Sendable, Hashable {
        case readOnly
        case readWrite
        /// Creates the file if it does not exist.
        case readWriteCreate

        fileprivate var flags: Int32 {
            switch self {
            case .readOnly: SQLITE_OPEN_READONLY
            case .readWrite: SQLITE_OPEN_READWRITE
            case .readWriteCreate: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            }
        }
    }

    /// The path or URI as the caller gave it.
    package let path: String
    /// Interrupts the running statements of this connection; may be kept longer than the connection.
    package let interruptHandle: InterruptHandle

    let handle: OpaquePointer
    let hooks = Hooks()
    private let isURI: Bool
    private var isOpen = true
    /// The file that was opened; nil when there is none, or when it is no file of the file system.
    package let file: FileIdentity?

    /// Opens a database. SQLite reads the file only when a statement needs it, so a file that is not a database fails
    /// then, with `SQLITE_NOTADB`.
    ///
    /// - Parameters:
    ///   - path: a file name, `:memory:`, an empty string for a private temporary file, or a URI if `isURI` is true.
    ///   - mode: the access that the connection asks for. SQLite silently falls back to read-only when a file cannot be
    ///     written.
    ///   - isURI: whether `path` is a [URI](https://sqlite.org/uri.html), such as `file:app.db?mode=ro`.
    ///   - chargesTemporaryFiles: whether the ``ResourceBudget`` of the thread bounds its temporary files.
    package convenience init(
        path: String,
        mode: Mode,
        isURI: Bool = false,
        chargesTemporaryFiles: Bool = false
    ) throws(SQLiteError) {
        // Must precede the initialization of the library, which the first connection triggers.
        _ = HeapAccounting.isInstalled
        _ = Library.retriesUnlocks
        let vfs = chargesTemporaryFiles ? TemporaryFileVFS.name : nil
        try self.init(path: path, mode: mode, isURI: isURI, vfs: vfs, isOnDisk: true)
    }

    /// - Parameters:
    ///   - vfs: the name of a registered VFS; nil for the default one.
    ///   - isOnDisk: whether its main database is a file of the file system.
    init(path: String, mode: Mode, isURI: Bool, vfs: String?, isOnDisk: Bool) throws(SQLiteError) {
        var opened: OpaquePointer?
        var flags = mode.flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        if isURI { flags |= SQLITE_OPEN_URI }
        // A library can be built to treat every name with this prefix as a URI, and would open another file.
        let name = !isURI && path.hasPrefix("file:") ? "./" + path : path
        let code = sqlite3_open_v2(name, &opened, flags, vfs)
        guard code == SQLITE_OK, let opened else {
            // SQLite hands out a handle even on failure, because it carries the message.
            let error = SQLiteError(code: code, handle: opened)
            sqlite3_close_v2(opened)
            throw error
        }
        let found = sqlite3_db_filename(opened, "main").map { String(cString: $0) }
        let file = isOnDisk ? found.flatMap { FileIdentity(path: $0) } : nil
        if let file, !OpenDatabases.add(file) {
            sqlite3_close_v2(opened)
            throw SQLiteError(
                code: .cantOpen,
                message: """
                    its -wal or -shm file was deleted or damaged while this process had it open; it is opened again when \
                    everything that runs on it has ended
                    """
            )
        }
        self.file = file
        self.path = path
        self.isURI = isURI
        self.handle = opened
        self.interruptHandle = InterruptHandle(opened)
    }

    deinit { close() }

    /// Removes the hooks and closes the handle; a second call does nothing. Statements that still exist keep the handle
    /// alive as a zombie until they are gone ([`sqlite3_close_v2`](https://sqlite.org/c3ref/close.html)), but must not
    /// be used.
    package func close() {
        guard isOpen else { return }
        isOpen = false
        hooks.removeAll(from: handle)
        // A setting of an open connection cannot fail.
        if isLogLost { try? configure(.noCheckpointOnClose, true) }
        interruptHandle.invalidate { sqlite3_close_v2(handle) }
        if let file { OpenDatabases.remove(file) }
    }

    // MARK: State

    /// False within a transaction. A failed statement can have ended the transaction: check again after every error.
    package var isInAutocommit: Bool { sqlite3_get_autocommit(handle) != 0 }

    /// Whether a transaction reads or writes the main database: false after a `BEGIN` by itself
    /// ([`sqlite3_txn_state`](https://sqlite.org/c3ref/txn_state.html)).
    package var hasSnapshot: Bool { sqlite3_txn_state(handle, "main") != SQLITE_TXN_NONE }

    /// The rows that the last INSERT, UPDATE or DELETE changed itself, without those of triggers and foreign keys.
    package var changes: Int64 { sqlite3_changes64(handle) }

    /// The rows changed since the connection was opened, including those of triggers and foreign keys.
    package var totalChanges: Int64 { sqlite3_total_changes64(handle) }

    /// What `last_insert_rowid()` returns.
    package var lastInsertRowid: Int64 {
        get { sqlite3_last_insert_rowid(handle) }
        set { sqlite3_set_last_insert_rowid(handle, newValue) }
    }

    /// Whether the main database cannot be written, because of the mode or of the file's permissions.
    package var isReadOnly: Bool { sqlite3_db_readonly(handle, "main") == 1 }

    /// Whether the path still names the file that was opened. False when the file was replaced, moved or deleted, a
    /// symbolic link was changed, or a directory of the path was renamed. One system call; true when the database has
    /// no path.
    package var isFileInPlace: Bool {
        guard let file, !isURI else { return true }
        return FileIdentity(path: path) == file
    }

    /// The log that the connection has open: see ``LogFiles``. Nil when the database has no path.
    package var logFiles: LogFiles? {
        guard file != nil, !isURI, let path = sqlite3_db_filename(handle, "main") else { return nil }
        return LogFiles(databasePath: String(cString: path))
    }

    /// Notes that another program deleted or damaged the log. All connections of this process to the file must be closed; they
    /// close without touching it, and none is opened before the last of them is closed.
    package func loseLog() {
        if let file { OpenDatabases.loseLog(of: file) }
    }

    /// Whether ``loseLog()`` was called for the file, and it was not opened again since.
    package var isLogLost: Bool { file.map { OpenDatabases.isLogLost(of: $0) } ?? false }

    // MARK: Running SQL

    /// Runs every statement of the string and discards the rows.
    package func execute(_ sql: String) throws(SQLiteError) {
        var script = Script(sql)
        while var statement = try script.next(on: self) {
            while try statement.step() {}
        }
    }

    /// Compiles exactly one statement.
    ///
    /// - Parameters:
    ///   - sql: one statement; anything but white space and comments after it is an error.
    ///   - persistent: whether the statement will be kept for long, so that its memory should not come from the
    ///     lookaside pool.
    package func prepare(_ sql: String, persistent: Bool = false) throws(SQLiteError) -> Statement {
        var script = Script(sql)
        guard let statement = try script.next(on: self, persistent: persistent) else {
            throw SQLiteError(code: .misuse, message: "there is no statement in the SQL", sql: sql)
        }
        guard try script.next(on: self) == nil else {
            throw SQLiteError(
                code: .misuse,
                message: "expected one statement, and another one follows",
                sql: sql,
                offset: script.offset
            )
        }
        return statement
    }

    /// All rows of one statement; for small results.
    package func query(_ sql: String, _ parameters: [SQLiteValue] = []) throws(SQLiteError) -> [[SQLiteValue]] {
        var statement = try prepare(sql)
        for (index, value) in parameters.enumerated() { try statement.bind(value, at: index + 1) }
        var rows: [[SQLiteValue]] = []
        while try statement.step() {
            rows.append((0..<statement.columnCount).map { statement.value($0) })
        }
        return rows
    }

    func check(_ code: Int32, sql: String? = nil) throws(SQLiteError) {
        if code != SQLITE_OK { throw SQLiteError(code: code, handle: handle, sql: sql) }
    }
}

extension Connection {
    /// The collation that comparisons with a column use, in upper case for SQLite's own; nil when there is no such
    /// table or column.
    ///
    /// Source: [sqlite3_table_column_metadata](https://sqlite.org/c3ref/table_column_metadata.html).
    package func collation(ofColumn column: String, of table: String, in database: String = "main") -> String? {
        var name: UnsafePointer<CChar>?
        let code = sqlite3_table_column_metadata(handle, database, table, column, nil, &name, nil, nil, nil)
        guard code == SQLITE_OK, let name else { return nil }
        return String(cString: name)
    }
}

extension Connection {
    /// A run-time limit; see [Run-Time Limit Categories](https://sqlite.org/c3ref/c_limit_attached.html).
    package struct Limit: RawRepresentable, Sendable, Hashable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        /// Bytes of a string, a blob or a row.
        package static let valueBytes = Limit(rawValue: SQLITE_LIMIT_LENGTH)
        package static let sqlBytes = Limit(rawValue: SQLITE_LIMIT_SQL_LENGTH)
        package static let columns = Limit(rawValue: SQLITE_LIMIT_COLUMN)
        package static let expressionDepth = Limit(rawValue: SQLITE_LIMIT_EXPR_DEPTH)
        package static let compoundSelects = Limit(rawValue: SQLITE_LIMIT_COMPOUND_SELECT)
        package static let virtualMachineOperations = Limit(rawValue: SQLITE_LIMIT_VDBE_OP)
        package static let functionArguments = Limit(rawValue: SQLITE_LIMIT_FUNCTION_ARG)
        package static let attachedDatabases = Limit(rawValue: SQLITE_LIMIT_ATTACHED)
        package static let likePatternBytes = Limit(rawValue: SQLITE_LIMIT_LIKE_PATTERN_LENGTH)
        package static let parameterNumber = Limit(rawValue: SQLITE_LIMIT_VARIABLE_NUMBER)
        package static let triggerDepth = Limit(rawValue: SQLITE_LIMIT_TRIGGER_DEPTH)
        package static let workerThreads = Limit(rawValue: SQLITE_LIMIT_WORKER_THREADS)
    }

    /// Sets a limit and returns the previous value. SQLite silently lowers a value above the library's hard limit.
    @discardableResult
    package func setLimit(_ limit: Limit, _ value: Int) -> Int {
        Int(sqlite3_limit(handle, limit.rawValue, Int32(clamping: value)))
    }

    package func limit(_ limit: Limit) -> Int { Int(sqlite3_limit(handle, limit.rawValue, -1)) }

    /// A boolean setting of the connection; see [Database Connection
    /// Configuration](https://sqlite.org/c3ref/c_dbconfig_defensive.html).
    package struct ConfigurationFlag: RawRepresentable, Sendable, Hashable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let defensive = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_DEFENSIVE)
        package static let trustedSchema = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_TRUSTED_SCHEMA)
        package static let writableSchema = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_WRITABLE_SCHEMA)
        package static let loadExtension = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION)
        package static let fts3Tokenizer = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER)
        package static let foreignKeys = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_ENABLE_FKEY)
        package static let triggers = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_ENABLE_TRIGGER)
        package static let views = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_ENABLE_VIEW)
        package static let doubleQuotedStringsInDML = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_DQS_DML)
        package static let doubleQuotedStringsInDDL = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_DQS_DDL)
        /// Keeps the log and its index when the last connection closes.
        package static let noCheckpointOnClose = ConfigurationFlag(rawValue: SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
    }

    package func configure(_ flag: ConfigurationFlag, _ isOn: Bool) throws(SQLiteError) {
        try check(csqlite_db_config_flag(handle, flag.rawValue, isOn ? 1 : 0, nil))
    }
}

/// The decision of a progress handler.
package enum ProgressDecision: Sendable {
    case proceed
    /// The running statement fails with `SQLITE_INTERRUPT`; an interrupted write within a transaction rolls the
    /// transaction back.
    case interrupt
}

extension Connection {
    /// Sets the closure that is called about every `everySteps` steps of the virtual machine; nil removes it.
    ///
    /// Called on the connection's thread, within `step` (since SQLite 3.41 also while preparing). The closure must not use
    /// the connection. Source: [sqlite3_progress_handler](https://sqlite.org/c3ref/progress_handler.html).
    package func setProgressHandler(everySteps steps: Int, _ handler: (() -> ProgressDecision)?) {
        hooks.progress = handler
        guard handler != nil else {
            sqlite3_progress_handler(handle, 0, nil, nil)
            return
        }
        sqlite3_progress_handler(
            handle,
            Int32(clamping: steps),
            { Hooks.from($0)?.progress?() == .interrupt ? 1 : 0 },
            hooks.context
        )
    }

    /// Waits for locks of other connections for at most `timeout`, then fails with `SQLITE_BUSY`. Replaces the busy
    /// handler.
    package func setBusyTimeout(_ timeout: Duration) {
        hooks.busy = nil
        let (seconds, attoseconds) = timeout.components
        sqlite3_busy_timeout(handle, Int32(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000))
    }

    /// Sets the closure that decides whether to try again for a lock that another connection holds: true tries again,
    /// after any wait that the closure makes; nil fails with `SQLITE_BUSY` at once. `attempt` counts from 0 for each
    /// lock.
    ///
    /// SQLite does not call it where waiting could deadlock. Source:
    /// [sqlite3_busy_handler](https://sqlite.org/c3ref/busy_handler.html).
    package func setBusyHandler(_ handler: ((_ attempt: Int) -> Bool)?) {
        hooks.busy = handler
        guard handler != nil else {
            sqlite3_busy_handler(handle, nil, nil)
            return
        }
        sqlite3_busy_handler(
            handle,
            { Hooks.from($0)?.busy?(Int($1)) == true ? 1 : 0 },
            hooks.context
        )
    }
}
