/// What the decoder needs of the 100 bytes at the start of a database file.
///
/// Source: [The Database Header](https://sqlite.org/fileformat2.html#the_database_header).
package struct DatabaseHeader: Hashable, Sendable {
    package static let byteCount = 100
    private static let magic = Array("SQLite format 3\0".utf8)

    /// In bytes, a power of two from 512 to 65,536.
    package var pageSize: Int
    /// Bytes at the end of every page that the b-trees do not use.
    package var reservedByteCount: Int
    /// The size of the database in pages, as the last writer noted it.
    package var pageCount: UInt32
    package var firstFreelistTrunk: UInt32
    package var freelistPageCount: UInt32
    /// Changes whenever the schema does.
    package var schemaCookie: UInt32
    /// True for `auto_vacuum` FULL and INCREMENTAL: the file then has pointer-map pages.
    package var hasPointerMap: Bool
    package var encoding: TextEncoding

    package var usableSize: Int { pageSize - reservedByteCount }

    /// Of a file without any byte, as SQLite will write it unless it is told otherwise.
    package static let empty = DatabaseHeader()

    private init() {
        pageSize = 4096
        reservedByteCount = 0
        pageCount = 0
        firstFreelistTrunk = 0
        freelistPageCount = 0
        schemaCookie = 0
        hasPointerMap = false
        encoding = .utf8
    }

    /// Parses the first 100 bytes of a file or of page 1. An encrypted file fails here, by its magic.
    package init(_ bytes: UnsafeRawBufferPointer) throws(WALDecodeError) {
        guard bytes.count >= Self.byteCount else {
            throw WALDecodeError(page: 1, .badHeader("at least 100 bytes"))
        }
        guard bytes.prefix(16).elementsEqual(Self.magic) else {
            throw WALDecodeError(page: 1, .badHeader("\"SQLite format 3\" (is the file encrypted?)"))
        }
        let size = bytes.bigEndian16(at: 16)
        pageSize = size == 1 ? 65_536 : size
        guard pageSize >= 512, pageSize & (pageSize - 1) == 0 else {
            throw WALDecodeError(page: 1, .badHeader("a page size that is a power of two from 512 to 65536"))
        }
        reservedByteCount = Int(bytes[20])
        // "The usable size is not allowed to be less than 480."
        guard pageSize - reservedByteCount >= 480 else {
            throw WALDecodeError(page: 1, .badHeader("at least 480 usable bytes a page"))
        }
        pageCount = bytes.bigEndian32(at: 28)
        firstFreelistTrunk = bytes.bigEndian32(at: 32)
        freelistPageCount = bytes.bigEndian32(at: 36)
        schemaCookie = bytes.bigEndian32(at: 40)
        hasPointerMap = bytes.bigEndian32(at: 52) != 0
        // 0 is a database in which nothing was ever created.
        let rawEncoding = bytes.bigEndian32(at: 56)
        guard let encoding = TextEncoding(rawValue: rawEncoding == 0 ? 1 : rawEncoding) else {
            throw WALDecodeError(page: 1, .badHeader("a text encoding from 1 to 3"))
        }
        self.encoding = encoding
    }
}

extension UnsafeRawBufferPointer {
    /// The two bytes at `offset`, most significant first. The caller has checked the bounds.
    @inline(__always)
    package func bigEndian16(at offset: Int) -> Int {
        Int(UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
    }

    /// The four bytes at `offset`, most significant first. The caller has checked the bounds.
    @inline(__always)
    package func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}
