/// The 32 bytes at the start of a `-wal` file.
///
/// Source: [WAL Header](https://sqlite.org/fileformat2.html#walformat).
package struct WALHeader: Hashable, Sendable {
    package static let byteCount = 32
    /// The only version.
    package static let version: UInt32 = 3_007_000

    package var byteOrder: WALChecksum.ByteOrder
    /// In bytes.
    package var pageSize: Int
    /// Counts the restarts of the log.
    package var checkpointSequence: UInt32
    package var salt: WALSalt
    /// Where the frames' running checksum starts.
    package var checksum: WALChecksum

    /// Parses and checks a header. A log that was just created or truncated has no header yet.
    package init(_ bytes: UnsafeRawBufferPointer) throws(WALDecodeError) {
        guard bytes.count >= Self.byteCount else { throw WALDecodeError(page: 0, .badHeader("32 bytes")) }
        switch bytes.bigEndian32(at: 0) {
        case 0x377f_0682: byteOrder = .littleEndian
        case 0x377f_0683: byteOrder = .bigEndian
        default: throw WALDecodeError(page: 0, .badHeader("0x377f0682 or 0x377f0683 at its start"))
        }
        guard bytes.bigEndian32(at: 4) == Self.version else {
            throw WALDecodeError(page: 0, .badHeader("version 3007000"))
        }
        let size = bytes.bigEndian32(at: 8)
        guard size >= 512, size <= 65_536, size & (size - 1) == 0 else {
            throw WALDecodeError(page: 0, .badHeader("a page size that is a power of two from 512 to 65536"))
        }
        pageSize = Int(size)
        checkpointSequence = bytes.bigEndian32(at: 12)
        salt = WALSalt(bytes, at: 16)
        checksum = WALChecksum(first: bytes.bigEndian32(at: 24), second: bytes.bigEndian32(at: 28))
        var expected = WALChecksum()
        expected.add(UnsafeRawBufferPointer(rebasing: bytes[..<24]), in: byteOrder)
        guard checksum == expected else { throw WALDecodeError(page: 0, .badHeader("a checksum that fits")) }
    }

    /// The bytes of a frame: its header and a page.
    package var frameByteCount: Int { WALFrameHeader.byteCount + pageSize }

    /// The offset in the file of a frame, numbered from 1.
    package func offset(ofFrame number: UInt32) -> Int {
        Self.byteCount + (Int(number) - 1) * frameByteCount
    }
}

/// The 24 bytes before every page in a write-ahead log.
///
/// Source: [WAL Frame Header](https://sqlite.org/fileformat2.html#walformat).
package struct WALFrameHeader: Hashable, Sendable {
    package static let byteCount = 24

    package var pageNumber: UInt32
    /// For the last frame of a transaction the size of the database after it, in pages; else 0.
    package var pageCountAfterCommit: UInt32
    package var salt: WALSalt
    package var checksum: WALChecksum

    package var isCommit: Bool { pageCountAfterCommit != 0 }

    /// Parses the header; nil when there are fewer than 24 bytes.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        pageNumber = bytes.bigEndian32(at: 0)
        pageCountAfterCommit = bytes.bigEndian32(at: 4)
        salt = WALSalt(bytes, at: 8)
        checksum = WALChecksum(first: bytes.bigEndian32(at: 16), second: bytes.bigEndian32(at: 20))
    }
}

/// The eight bytes that distinguish one generation of a write-ahead log from the next: the first half is incremented
/// with every restart, the second is random. Frames with other salts are left over from before the restart.
package struct WALSalt: Hashable, Sendable {
    package var first: UInt32
    package var second: UInt32

    package init(first: UInt32, second: UInt32) {
        self.first = first
        self.second = second
    }

    /// The same eight bytes, most significant first, in the log, in its frames and in the wal-index.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        first = bytes.bigEndian32(at: offset)
        second = bytes.bigEndian32(at: offset + 4)
    }
}

/// The running checksum of a write-ahead log: two 32-bit sums over pairs of 32-bit words.
///
/// Source: [Checksum Algorithm](https://sqlite.org/fileformat2.html#checksum_algorithm).
package struct WALChecksum: Hashable, Sendable {
    package enum ByteOrder: Hashable, Sendable {
        case littleEndian
        case bigEndian

        /// The byte order of this machine, in which the wal-index is written.
        package static var native: ByteOrder { UInt32(1).littleEndian == 1 ? .littleEndian : .bigEndian }
    }

    package var first: UInt32
    package var second: UInt32

    package init(first: UInt32 = 0, second: UInt32 = 0) {
        self.first = first
        self.second = second
    }

    /// Adds bytes, whose number must be a multiple of eight; the remainder is ignored.
    package mutating func add(_ bytes: UnsafeRawBufferPointer, in order: ByteOrder) {
        var (first, second) = (self.first, self.second)
        for offset in stride(from: 0, to: bytes.count & ~7, by: 8) {
            let one = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            let other = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
            switch order {
            case .littleEndian:
                first = first &+ UInt32(littleEndian: one) &+ second
                second = second &+ UInt32(littleEndian: other) &+ first
            case .bigEndian:
                first = first &+ UInt32(bigEndian: one) &+ second
                second = second &+ UInt32(bigEndian: other) &+ first
            }
        }
        (self.first, self.second) = (first, second)
    }
}
