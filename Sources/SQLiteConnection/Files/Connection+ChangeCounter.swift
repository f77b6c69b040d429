import CSQLite

/// The number that every commit to a rollback journal increments, in the header of the database file.
///
/// Read through SQLite's own handle, for the reason that ``DatabaseFile`` gives.
///
/// Source: [File change counter](https://sqlite.org/fileformat2.html#file_change_counter).
extension Connection {
    /// The counter in the main database's file; nil in WAL mode, where commits do not change it, without a file, and when it
    /// cannot be read.
    package var changeCounter: UInt32? {
        guard self.file != nil else { return nil }
        var file: UnsafeMutablePointer<sqlite3_file>?
        guard sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK, let file,
            let read = file.pointee.pMethods?.pointee.xRead
        else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: Self.counterEnd, alignment: 8) { header in
            // A file that is shorter has no pages yet; SQLite fills the rest with zeros.
            let code = read(file, header.baseAddress, Int32(header.count), 0)
            guard code == SQLITE_OK || code == ResultCode.shortRead.rawValue else { return nil }
            // The version to read the file: 2 with a write-ahead log.
            guard header[19] != 2 else { return nil }
            return UInt32(bigEndian: header.loadUnaligned(fromByteOffset: Self.counterEnd - 4, as: UInt32.self))
        }
    }

    /// The counter that the running transaction leaves if it commits; nil when it has written nothing to the main database,
    /// and whenever ``changeCounter`` is nil. For the commit hook: the transaction's lock keeps other writers out, and the
    /// counter in the file is still the previous one.
    package var nextChangeCounter: UInt32? {
        var journal: UnsafeMutablePointer<sqlite3_file>?
        // SQLite opens the journal when a transaction changes its first page, and closes it with the transaction's lock.
        guard sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal) == SQLITE_OK,
            journal?.pointee.pMethods != nil
        else { return nil }
        return changeCounter.map { $0 &+ 1 }
    }

    private static var counterEnd: Int { 28 }
}
