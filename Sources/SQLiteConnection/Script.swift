import CSQLite

/// The statements of one string, compiled one after the other, so that each can use what those before it created.
package struct Script {
    package let sql: String
    /// Where the statement that ``next(on:persistent:)`` last returned begins in ``sql``, in UTF-8 bytes. White space
    /// and comments before the statement belong to it.
    package private(set) var offset = 0

    /// Where the text that has not been compiled yet begins, in UTF-8 bytes.
    package private(set) var tail = 0

    private let bytes: ContiguousArray<CChar>

    package init(_ sql: String) {
        self.sql = sql
        bytes = ContiguousArray(sql.utf8CString)
    }

    /// Skips the statements that have not been compiled.
    package mutating func skipToEnd() { tail = bytes.count - 1 }

    /// Compiles the next statement; nil at the end. Empty statements and comments are skipped.
    ///
    /// An error's ``SQLiteError/offset`` counts from the beginning of the whole string. For SQLite a NUL character ends
    /// the text, so one within the string is an error rather than a silently shortened script.
    package mutating func next(
        on connection: Connection,
        persistent: Bool = false
    ) throws(SQLiteError) -> Statement? {
        let end = bytes.count - 1
        while tail < end {
            offset = tail
            var statement: OpaquePointer?
            let flags = persistent ? UInt32(SQLITE_PREPARE_PERSISTENT) : 0
            let (code, length) = bytes.withUnsafeBufferPointer { buffer -> (Int32, Int) in
                guard let base = buffer.baseAddress else { return (SQLITE_OK, 0) }
                let start = base + tail
                var rest: UnsafePointer<CChar>?
                // The length includes the terminator, which spares SQLite a copy.
                let code = sqlite3_prepare_v3(
                    connection.handle,
                    start,
                    Int32(clamping: end - tail + 1),
                    flags,
                    &statement,
                    &rest
                )
                return (code, rest.map { $0 - start } ?? 0)
            }
            guard code == SQLITE_OK else {
                var error = SQLiteError(code: code, handle: connection.handle, sql: sql)
                error.offset = error.offset.map { $0 + tail }
                throw error
            }
            tail += length
            if tail < end, bytes[tail] == 0 {
                sqlite3_finalize(statement)
                throw SQLiteError(
                    code: .error,
                    message: "the SQL contains a NUL character",
                    sql: sql,
                    offset: tail
                )
            }
            if let statement { return Statement(statement, connection: connection) }
            if length == 0 { tail = end }
        }
        return nil
    }
}
