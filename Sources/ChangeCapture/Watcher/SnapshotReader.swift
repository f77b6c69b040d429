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
