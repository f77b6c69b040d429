package import SQLiteConnection

/// SQL at any commit that is still readable: SQLite reads the database through a ``PageReader``, in the midst of everybody
/// else's writing.
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

    /// Shows another commit from now on.
    func move(to reader: any PageReader) {
        pages.reader = reader
        snapshot.pagesChanged()
    }

    /// The connection, for as long as the cursor stays where it is. No statement may still run when it moves.
    package var connection: Connection { snapshot.connection }
}
