import Synchronization

/// A connection on which SQLite reads a database as of a moment that its ``SnapshotPages`` choose: SQL at any commit.
///
/// Reads only, takes no lock, and knows neither journal nor log. One thread at a time, the one its pages belong to.
package final class SnapshotConnection {
    package let connection: Connection
    private let vfs: SnapshotVFS

    private static let count = Atomic<Int>(0)

    package init(_ pages: any SnapshotPages) throws(SQLiteError) {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        vfs = try SnapshotVFS(name: "tablecast-snapshot-\(number)", pages: pages)
        connection = try Connection(path: "snapshot", mode: .readOnly, isURI: false, vfs: vfs.name, isOnDisk: false)
        try EvaluationPolicy().apply(to: connection)
        // The VFS has no files but the one, so that sorting must stay in memory.
        try connection.execute("PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0")
    }

    deinit { connection.close() }

    /// Says that the pages now show another moment: what is cached is read anew by the next statement. No statement may be
    /// in the middle of a run.
    package func pagesChanged() { vfs.version &+= 1 }
}
