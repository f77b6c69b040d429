import CSQLite

/// Everything SQLite says about a failure.
///
/// The description never shows bound values, so that errors can be logged.
public struct SQLiteError: Error, Sendable, Hashable {
    /// The extended result code.
    public var code: ResultCode
    /// The message of [`sqlite3_errmsg`](https://sqlite.org/c3ref/errcode.html).
    public var message: String
    /// The statement or script at fault, as it was given.
    public var sql: String?
    /// Where in ``sql`` the error is, in UTF-8 bytes, where SQLite knows it
    /// ([`sqlite3_error_offset`](https://sqlite.org/c3ref/errcode.html)).
    public var offset: Int?

    public init(code: ResultCode, message: String, sql: String? = nil, offset: Int? = nil) {
        self.code = code
        self.message = message
        self.sql = sql
        self.offset = offset
    }

    /// What the connection says about the call that just returned `code`. Must follow that call at once, on its thread.
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
