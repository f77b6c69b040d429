import CSQLite

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

    /// Sets a limit and returns the one before. SQLite lowers a value above the library's hard limit silently.
    @discardableResult
    package func setLimit(_ limit: Limit, _ value: Int) -> Int {
        Int(sqlite3_limit(handle, limit.rawValue, Int32(clamping: value)))
    }

    package func limit(_ limit: Limit) -> Int { Int(sqlite3_limit(handle, limit.rawValue, -1)) }

    /// A switch of the connection; see [Database Connection Configuration](https://sqlite.org/c3ref/c_dbconfig_defensive.html).
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
