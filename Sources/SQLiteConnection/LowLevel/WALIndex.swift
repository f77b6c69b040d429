import CSQLite

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

    /// Passes the header's ``headerByteCount`` bytes, in the byte order of this machine; nil while its two copies differ
    /// because a writer is at work between them, or was killed there.
    package func withHeader<Result>(_ body: (UnsafeRawBufferPointer?) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Self.headerByteCount / 4) { words in
            guard let base = words.baseAddress, csqlite_wal_index_header(memory, base) != 0 else { return body(nil) }
            return body(UnsafeRawBufferPointer(words))
        }
    }

    /// How many frames of the log a checkpoint has already copied into the database file (`nBackfill`).
    package var backfilledFrameCount: UInt32 { csqlite_wal_index_word(memory, 24) }

    /// How many frames a checkpoint has meant to copy, successful or not (`nBackfillAttempted`): more than
    /// ``backfilledFrameCount`` while one is at work. SQLite before 3.11 leaves it at 0.
    package var attemptedFrameCount: UInt32 { csqlite_wal_index_word(memory, 32) }
}
