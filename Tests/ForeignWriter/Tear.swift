#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Leaves the two copies of the wal-index header different, like a writer that is killed between them.
func tear(_ database: String) -> Bool {
    let descriptor = open(database + "-shm", O_RDWR)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // The change counter of the second copy.
    let garbage: [UInt8] = [0xde, 0xad, 0xbe, 0xef]
    return pwrite(descriptor, garbage, garbage.count, 48 + 8) == garbage.count
}
