import CSQLite

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The `-wal` file, opened for reading on a descriptor of our own.
///
/// A descriptor is allowed for this file alone, because SQLite takes no locks on it. Read with `pread`, never mapped:
/// after a `TRUNCATE` checkpoint an access to a mapping faults.
package struct WALFile: ~Copyable {
    private let descriptor: Int32
    private let path: String

    /// Opens the log of the database at `databasePath`; nil when there is none yet.
    package init?(databasePath: String) {
        path = databasePath + "-wal"
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Reads at `offset` and returns the number of bytes read, fewer than asked for at the end of the file.
    ///
    /// - Throws: `SQLITE_IOERR_READ` with the system's message when the system cannot read.
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

    /// Makes everything durable that any process has written to the log before the call.
    ///
    /// - Throws: `SQLITE_IOERR_FSYNC` with the system's message. The system may have discarded what it could not write: then a
    ///   later call succeeds without it.
    package func sync() throws(SQLiteError) {
        #if canImport(Darwin)
            // What `fsync` does there does not survive a loss of power.
            func synchronize() -> Int32 { fcntl(descriptor, F_FULLFSYNC) }
        #else
            func synchronize() -> Int32 { fdatasync(descriptor) }
        #endif
        while synchronize() < 0 {
            if errno == EINTR { continue }
            let reason = String(cString: strerror(errno))
            throw SQLiteError(code: .inputOutputSync, message: "the write-ahead log cannot be synced: \(reason)")
        }
    }

    /// Whether the file begins as a log does, or is empty.
    ///
    /// - Throws: `SQLITE_IOERR_READ` with the system's message when the system cannot read.
    package func hasHeader() throws(SQLiteError) -> Bool {
        var magic: UInt32 = 0
        let count = try withUnsafeMutableBytes(of: &magic) { bytes in
            Result { () throws(SQLiteError) in try read(into: bytes, at: 0) }
        }.get()
        return count == 0 || count == 4 && Self.magics.contains(UInt32(bigEndian: magic))
    }

    /// For checksums of either byte order. Source: [WAL format](https://sqlite.org/fileformat2.html#walformat).
    private static let magics: [UInt32] = [0x377f_0682, 0x377f_0683]

    /// Whether the name of the log still belongs to the opened file.
    package var isInPlace: Bool { identity.map { $0 == FileIdentity(path: path) } ?? true }

    /// The identity of the file behind the descriptor, whatever file has the name now.
    package var identity: FileIdentity? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? FileIdentity(status) : nil
    }
}

/// Reads the wal-index, the shared memory in which SQLite's writers publish what is committed.
///
/// A view on the memory of a ``DatabaseFile``, which it keeps alive. Reading takes no lock and no system call.
/// Use it on the thread that owns the file.
///
/// Source: [The WAL-Index File Format](https://sqlite.org/walformat.html#the_wal_index_file_format).
package struct WALIndex {
    /// The number of bytes of the header that the index keeps twice.
    package static let headerByteCount = 48

    private let memory: UnsafeRawPointer
    private let owner: DatabaseFile

    init(memory: UnsafeRawPointer, owner: DatabaseFile) {
        self.memory = memory
        self.owner = owner
    }

    /// Passes the header's ``headerByteCount`` bytes, in the byte order of this machine; nil while its two copies
    /// differ, because a writer is between them or was killed there.
    package func withHeader<Result>(_ body: (UnsafeRawBufferPointer?) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Self.headerByteCount / 4) { words in
            guard let base = words.baseAddress, csqlite_wal_index_header(memory, base) != 0 else { return body(nil) }
            return body(UnsafeRawBufferPointer(words))
        }
    }

    /// How many frames of the log a checkpoint has already copied into the database file (`nBackfill`).
    package var backfilledFrameCount: UInt32 { csqlite_wal_index_word(memory, 24) }

    /// How many frames a checkpoint set out to copy, successful or not (`nBackfillAttempted`): more than
    /// ``backfilledFrameCount`` while a checkpoint runs. SQLite before 3.11 leaves it at 0.
    package var attemptedFrameCount: UInt32 { csqlite_wal_index_word(memory, 32) }
}

/// One of the eight locks by which the users of a write-ahead log coordinate.
///
/// Source: [WAL-Mode Locks](https://sqlite.org/walformat.html#locks).
package struct WALLock: Hashable, Sendable {
    let slot: Int32

    package static let checkpoint = WALLock(slot: 1)

    /// The lock of a reader that needs no frame of the log: while it is held, no checkpoint can copy into the database
    /// file.
    package static let readDatabaseOnly = WALLock.read(0)

    /// The lock behind `read-mark[index]`.
    package static func read(_ index: Int) -> WALLock {
        precondition((0...4).contains(index), "read lock \(index) of 5")
        return WALLock(slot: 3 + Int32(index))
    }

    /// Where SQLite's lock bytes begin in the `-shm` file.
    static let firstByte: Int64 = 120
    var byte: Int64 { Self.firstByte + Int64(slot) }
}
