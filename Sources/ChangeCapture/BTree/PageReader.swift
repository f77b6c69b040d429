/// A view of every page of a database as of one commit.
///
/// A reader never changes while a commit is decoded: the same number gives the same bytes. It is used by one thread at a
/// time and need not be `Sendable`.
package protocol PageReader {
    /// The size of a page in bytes, a power of two from 512 to 65,536.
    var pageSize: Int { get }
    /// The bytes of a page that the b-trees use: ``pageSize`` less the bytes reserved at its end.
    var usableSize: Int { get }
    /// The size of the database in pages; pages are numbered from 1.
    var pageCount: UInt32 { get }

    /// Calls `body` with the page's ``pageSize`` bytes, which are valid only within the call.
    ///
    /// Calls nest: two pages of one reader can be borrowed at once, so a cache must not recycle a page that is lent.
    /// Throws ``WALDecodeError/Problem/pageOutOfRange`` for a number outside `1...pageCount`, and
    /// ``WALDecodeError/Problem/unreadable(_:)`` when the bytes cannot be read.
    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R
}

extension PageReader {
    /// Whether a page is as it is for another reader. A page that one of them does not have is not.
    func isPage(_ number: UInt32, equalIn other: some PageReader) throws(WALDecodeError) -> Bool {
        guard number <= pageCount, number <= other.pageCount else { return false }
        return try withPage(number) { (mine) throws(WALDecodeError) in
            try other.withPage(number) { (theirs) throws(WALDecodeError) in
                bytesAreEqual(mine, 0, theirs, 0, mine.count)
            }
        }
    }
}
