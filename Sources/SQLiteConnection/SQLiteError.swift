import CSQLite

/// SQLite's report of a failure.
///
/// The description never contains bound values, so errors can be logged.
public struct SQLiteError: Error, Sendable, Hashable {
    /// The extended result code.
    public var code: ResultCode
    /// The message of [`sqlite3_errmsg`](https://sqlite.org/c3ref/errcode.html).
    public var message: String
    /// The statement or script that failed, as the caller gave it.
    public var sql: String?
    /// The position of the error in ``sql`` in UTF-8 bytes, where SQLite knows it
    /// ([`sqlite3_error_offset`](https://sqlite.org/c3ref/errcode.html)).
    public var offset: Int?

    public init(code: ResultCode, message: String, sql: String? = nil, offset: Int? = nil) {
        self.code = code
        self.message = message
        self.sql = sql
        self.offset = offset
    }

    /// The connection's report on the call that just returned `code`. Call it right after that call, on the same
    /// thread.
    init(code: Int32, handle: OpaquePointer?, sql: String? = nil) {
        let code = ResultCode(rawValue: code)
        let isLast = handle.map { sqlite3_errcode($0) & 0xff == code.primary.rawValue } ?? false
        self.code = isLast ? ResultCode(rawValue: sqlite3_extended_errcode(handle)) : code
        self.message = String(cString: isLast ? sqlite3_errmsg(handle) : sqlite3_errstr(code.rawValue))
        self.sql = sql
        let offset = isLast && sql != nil ? Int(csqlite_error_offset(handle)) : -1
        self.offset = offset >= 0 ? offset : nil
    }
}

extension SQLiteError: CustomStringConvertible {
    public var description: String {
        var text = "SQLite error \(code.rawValue): \(message)"
        if let sql { text += " in `\(sql.prefix(200))`" }
        if let offset { text += " at byte \(offset)" }
        return text
    }
}

/// A result code of SQLite, usually an extended one.
///
/// Source: [Result and Error Codes](https://sqlite.org/rescode.html).
public struct ResultCode: RawRepresentable, Sendable, Hashable {
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// The code without its extension: the low byte.
    public var primary: ResultCode { ResultCode(rawValue: rawValue & 0xff) }

    public static let ok = ResultCode(rawValue: SQLITE_OK)
    public static let error = ResultCode(rawValue: SQLITE_ERROR)
    public static let permission = ResultCode(rawValue: SQLITE_PERM)
    public static let abort = ResultCode(rawValue: SQLITE_ABORT)
    public static let busy = ResultCode(rawValue: SQLITE_BUSY)
    public static let locked = ResultCode(rawValue: SQLITE_LOCKED)
    public static let outOfMemory = ResultCode(rawValue: SQLITE_NOMEM)
    public static let readOnly = ResultCode(rawValue: SQLITE_READONLY)
    public static let interrupt = ResultCode(rawValue: SQLITE_INTERRUPT)
    public static let inputOutput = ResultCode(rawValue: SQLITE_IOERR)
    public static let corrupt = ResultCode(rawValue: SQLITE_CORRUPT)
    public static let full = ResultCode(rawValue: SQLITE_FULL)
    public static let cantOpen = ResultCode(rawValue: SQLITE_CANTOPEN)
    public static let schema = ResultCode(rawValue: SQLITE_SCHEMA)
    public static let tooBig = ResultCode(rawValue: SQLITE_TOOBIG)
    public static let constraint = ResultCode(rawValue: SQLITE_CONSTRAINT)
    public static let mismatch = ResultCode(rawValue: SQLITE_MISMATCH)
    public static let misuse = ResultCode(rawValue: SQLITE_MISUSE)
    public static let auth = ResultCode(rawValue: SQLITE_AUTH)
    public static let range = ResultCode(rawValue: SQLITE_RANGE)
    public static let notADatabase = ResultCode(rawValue: SQLITE_NOTADB)
    public static let row = ResultCode(rawValue: SQLITE_ROW)
    public static let done = ResultCode(rawValue: SQLITE_DONE)

    // Extended codes that callers distinguish. Their macros are arithmetic, which Swift does not import.
    public static let busyRecovery = ResultCode(rawValue: SQLITE_BUSY | 1 << 8)
    public static let busySnapshot = ResultCode(rawValue: SQLITE_BUSY | 2 << 8)
    public static let busyTimeout = ResultCode(rawValue: SQLITE_BUSY | 3 << 8)
    public static let lockedSharedCache = ResultCode(rawValue: SQLITE_LOCKED | 1 << 8)
    public static let readOnlyRecovery = ResultCode(rawValue: SQLITE_READONLY | 1 << 8)
    public static let readOnlyRollback = ResultCode(rawValue: SQLITE_READONLY | 3 << 8)
    public static let readOnlyCannotInitialize = ResultCode(rawValue: SQLITE_READONLY | 5 << 8)
    public static let readOnlyDirectory = ResultCode(rawValue: SQLITE_READONLY | 6 << 8)
    public static let readOnlyDatabaseMoved = ResultCode(rawValue: SQLITE_READONLY | 4 << 8)
    public static let constraintForeignKey = ResultCode(rawValue: SQLITE_CONSTRAINT | 3 << 8)
    public static let constraintCommitHook = ResultCode(rawValue: SQLITE_CONSTRAINT | 2 << 8)
    public static let abortRollback = ResultCode(rawValue: SQLITE_ABORT | 2 << 8)
    public static let sharedMemorySize = ResultCode(rawValue: SQLITE_IOERR | 19 << 8)
    public static let inputOutputRead = ResultCode(rawValue: SQLITE_IOERR | 1 << 8)
    public static let inputOutputSync = ResultCode(rawValue: SQLITE_IOERR | 4 << 8)
    public static let shortRead = ResultCode(rawValue: SQLITE_IOERR | 2 << 8)
}

extension ResultCode: CustomStringConvertible {
    /// SQLite's own text for the code, with its number: `database is locked (5)`.
    public var description: String {
        "\(String(cString: sqlite3_errstr(rawValue))) (\(rawValue))"
    }
}
