import CSQLite

extension Connection {
    /// The bytes of the main database as the current transaction sees it, including the pages in the write-ahead log.
    ///
    /// Takes twice that memory while it runs. Source: [sqlite3_serialize](https://sqlite.org/c3ref/serialize.html).
    ///
    /// - Parameter maxBytes: the result is nil for a larger database.
    package func serialized(maxBytes: Int) throws(SQLiteError) -> [UInt8]? {
        let size = try query("SELECT p.page_count * s.page_size FROM pragma_page_count p, pragma_page_size s")
        guard case .integer(let byteCount)? = size.first?.first, byteCount <= maxBytes else { return nil }
        var count: Int64 = 0
        guard let bytes = sqlite3_serialize(handle, "main", &count, 0) else {
            throw SQLiteError(code: .outOfMemory, message: "the database of \(byteCount) bytes cannot be copied")
        }
        defer { sqlite3_free(bytes) }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
    }
}

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
