import CSQLite

/// One of the eight locks by which the users of a write-ahead log coordinate.
///
/// Source: [WAL-Mode Locks](https://sqlite.org/walformat.html#locks).
package struct WALLock: Hashable, Sendable {
    let slot: Int32

    package static let checkpoint = WALLock(slot: 1)

    /// The lock of a reader that needs no frame of the log: while it is held, nothing can be copied into the database file.
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
