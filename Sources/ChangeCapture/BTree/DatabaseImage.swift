/// A whole database in memory, as a ``PageReader``: the bytes of its file.
///
/// Meant for databases that are small or bounded by a limit of the caller, and for tests.
package struct DatabaseImage: PageReader {
    package let header: DatabaseHeader
    package let pageCount: UInt32
    /// The whole file.
    package let bytes: [UInt8]

    package var pageSize: Int { header.pageSize }
    package var usableSize: Int { header.usableSize }

    /// The file's bytes; a last page that is not whole is left out.
    package init(_ bytes: [UInt8]) throws(WALDecodeError) {
        // withUnsafeBytes rethrows untyped errors.
        let header = bytes.withUnsafeBytes { bytes in
            Result { () throws(WALDecodeError) in try DatabaseHeader(bytes) }
        }
        self.header = try header.get()
        self.bytes = bytes
        self.pageCount = UInt32(clamping: bytes.count / self.header.pageSize)
    }

    package func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        guard number > 0, number <= pageCount else { throw WALDecodeError(page: number, .pageOutOfRange) }
        let start = (Int(number) - 1) * pageSize
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(WALDecodeError) in
                try body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + pageSize]))
            }
        }
        return try result.get()
    }
}
