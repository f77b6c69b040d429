/// The eight bytes that tell one generation of a write-ahead log from the next: the first half counts up with every
/// restart, the second is random. Frames with other salts are left over from before the restart.
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
