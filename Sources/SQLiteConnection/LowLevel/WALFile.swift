#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The `-wal` file, opened for reading on a descriptor of our own.
///
/// Allowed for this file alone, because SQLite takes no locks on it. Read with `pread`, never mapped: a `TRUNCATE`
/// checkpoint would turn a mapping into a fault.
package struct WALFile: ~Copyable {
    private let descriptor: Int32

    /// Opens the log of the database at `databasePath`; nil when there is none yet.
    package init?(databasePath: String) {
        descriptor = open(databasePath + "-wal", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Reads at `offset`; the number of bytes that there were, less than asked for at the end of the file.
    ///
    /// - Throws: `SQLITE_IOERR_READ` with the system's words when the system cannot read.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SQLiteError) -> Int {
        var done = 0
        while done < buffer.count, let base = buffer.baseAddress {
            let count = pread(descriptor, base + done, buffer.count - done, off_t(offset) + off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                let reason = String(cString: strerror(errno))
                throw SQLiteError(code: .inputOutputRead, message: "the write-ahead log cannot be read: \(reason)")
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Which file the descriptor is on, whatever the name means by now.
    package var identity: FileIdentity? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? FileIdentity(status) : nil
    }
}
