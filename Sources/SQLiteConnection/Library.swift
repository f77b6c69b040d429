import CSQLite

/// The SQLite library that the program runs with, which need not be the one it was built against.
package enum Library {
    /// The oldest version that has everything used here: `sqlite3_error_offset` and `RETURNING` with current fixes.
    package static let minimumVersionNumber = 3_038_000

    package static var version: String { String(cString: sqlite3_libversion()) }

    /// For example 3040001 for 3.40.1.
    package static var versionNumber: Int { Int(sqlite3_libversion_number()) }

    /// Whether rows can be captured with their values through
    /// [`sqlite3_preupdate_hook`](https://sqlite.org/c3ref/preupdate_blobwrite.html).
    package static var hasPreUpdateHook: Bool {
        csqlite_has_preupdate_hook() != 0 && isCompiled(with: "ENABLE_PREUPDATE_HOOK")
    }

    package static var isThreadSafe: Bool { sqlite3_threadsafe() != 0 }

    /// Whether the library was built with an option, named without its `SQLITE_` prefix.
    package static func isCompiled(with option: String) -> Bool {
        sqlite3_compileoption_used(option) != 0
    }

    /// Whether an unlock that fails is tried again, on every connection of the process: SQLite ignores that it failed, and keeps
    /// the lock. False where the library's VFS cannot be told.
    static let retriesUnlocks = csqlite_retry_unlocks() == SQLITE_OK

    /// Fails, with what was found and what is needed, when the library cannot carry the service at all.
    package static func requireUsable() throws(SQLiteError) {
        if versionNumber < minimumVersionNumber {
            throw SQLiteError(
                code: .misuse,
                message: "the SQLite library is version \(version); 3.38.0 or later is needed"
            )
        }
        if !isThreadSafe {
            throw SQLiteError(
                code: .misuse,
                message:
                    "the SQLite library was built with SQLITE_THREADSAFE=0; connections on several threads are needed"
            )
        }
    }
}
