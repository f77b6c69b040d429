package import SQLiteConnection

/// A database in WAL mode as of one commit, for decoding.
struct SnapshotReader: PageReader {
    let store: PageStore
    /// The generation of the log that ``lastFrame`` counts in.
    let salt: WALSalt
    /// The last frame of the commit.
    let lastFrame: UInt32
    let pageCount: UInt32

    var pageSize: Int { store.pageSize }
    var usableSize: Int { store.usableSize }

    @inline(__always)
    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        guard number > 0, number <= pageCount else { throw WALDecodeError(page: number, .pageOutOfRange) }
        return try store.withPage(number, upTo: lastFrame, body)
    }
}

/// SQL at any commit that is still readable: SQLite reads the database through a ``PageReader``, while other processes
/// keep writing.
///
/// Moving to another commit takes some microseconds. One thread at a time.
package final class SnapshotCursor {
    private final class Pages: SnapshotPages {
        var reader: any PageReader
        init(_ reader: any PageReader) { self.reader = reader }

        var pageSize: Int { reader.pageSize }
        var pageCount: UInt32 { reader.pageCount }

        func copyPage(_ number: UInt32, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
            do {
                try reader.withPage(number) { (page) throws(WALDecodeError) in
                    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: page[offset..<offset + buffer.count]))
                }
                return true
            } catch {
                return false
            }
        }
    }

    private let pages: Pages
    private let snapshot: SnapshotConnection

    init(_ reader: any PageReader) throws(SQLiteError) {
        pages = Pages(reader)
        snapshot = try SnapshotConnection(pages)
    }

    /// Moves to another commit.
    func move(to reader: any PageReader) {
        pages.reader = reader
        snapshot.pagesChanged()
    }

    /// The connection, valid until the cursor moves. No statement may be running when it moves.
    package var connection: Connection { snapshot.connection }
}

/// A connection within a read transaction, which can be passed from thread to thread.
///
/// `@unchecked Sendable`: its owner uses it on one thread at a time, and passes it on only after all its work is done.
package final class ReadTransaction: @unchecked Sendable {
    /// Twice what a row may have, so that its reader can name the row that has more.
    private static let policy = {
        var policy = EvaluationPolicy()
        policy.maxValueBytes *= 2
        return policy
    }()

    package let connection: Connection
    /// Reads only page 1 and does not depend on the schema, so it takes the minimum time.
    private var first: Statement?

    /// Opens the file.
    init(path: String) throws(SQLiteError) {
        connection = try Self.policy.openReader(path: path)
        connection.setBusyTimeout(.milliseconds(100))
        first = try connection.prepare("PRAGMA schema_version", persistent: true)
    }

    /// Prepares ``begin()``, which is quick then; ends a previous transaction.
    func prepare() throws(SQLiteError) {
        if !connection.isInAutocommit { try connection.execute("ROLLBACK") }
        try connection.execute("BEGIN")
    }

    /// Begins to read: from now on the connection sees one state of the database.
    func begin() throws(SQLiteError) {
        defer { first?.reset() }
        _ = try first?.step()
    }

    /// Bounds the values that the connection handles, where `schema` is the SQL of what is evaluated next.
    package func boundValues(schema: some Sequence<String>) {
        Self.policy.boundValues(of: connection, schema: schema)
    }

    /// Ends the transaction.
    package func end() {
        // The connection is closed only once its last statement is gone.
        first = nil
        connection.close()
    }
}
