/// The running checksum of a write-ahead log: two 32-bit sums over pairs of 32-bit words.
///
/// Source: [Checksum Algorithm](https://sqlite.org/fileformat2.html#checksum_algorithm).
package struct WALChecksum: Hashable, Sendable {
    package enum ByteOrder: Hashable, Sendable {
        case littleEndian
        case bigEndian

        /// Of this machine: the wal-index is written in it.
        package static var native: ByteOrder { UInt32(1).littleEndian == 1 ? .littleEndian : .bigEndian }
    }

    package var first: UInt32
    package var second: UInt32

    package init(first: UInt32 = 0, second: UInt32 = 0) {
        self.first = first
        self.second = second
    }

    /// Adds bytes, whose number must be a multiple of eight; what is over is left out.
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
