import CSQLite

extension Connection {
    /// Overwrites bytes of a BLOB or TEXT in place, by incremental I/O: the value keeps its length, and no trigger runs.
    ///
    /// Outside of a transaction it commits when it returns. Source:
    /// [sqlite3_blob_write](https://sqlite.org/c3ref/blob_write.html).
    package func overwrite(
        table: String,
        column: String,
        rowid: Int64,
        at offset: Int = 0,
        with bytes: [UInt8]
    ) throws(SQLiteError) {
        var blob: OpaquePointer?
        try check(sqlite3_blob_open(handle, "main", table, column, rowid, 1, &blob))
        let written = bytes.withUnsafeBytes { bytes in
            sqlite3_blob_write(blob, bytes.baseAddress, Int32(clamping: bytes.count), Int32(clamping: offset))
        }
        let failure = written == SQLITE_OK ? nil : SQLiteError(code: written, handle: handle)
        let closed = sqlite3_blob_close(blob)
        if let failure { throw failure }
        try check(closed)
    }
}
