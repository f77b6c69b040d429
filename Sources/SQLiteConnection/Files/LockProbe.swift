import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Tests whether *another process* holds one of the locks of a write-ahead log, without taking it.
///
/// This needs a descriptor on the `-shm` file, and closing that would drop the locks of every SQLite connection of this
/// process. So descriptors are kept for the life of the process, one for each `-shm` file, and closed only when the
/// file has no name any more.
package struct LockProbe: Sendable {
    private static let descriptors = Mutex<[FileIdentity: Int32]>([:])

    private let descriptor: Int32

    /// Nil when there is no wal-index, or when it cannot be opened.
    package init?(databasePath: String) {
        let path = databasePath + "-shm"
        let found: Int32? = Self.descriptors.withLock { descriptors in
            Self.closeUnlinked(&descriptors)
            guard let identity = FileIdentity(path: path) else { return nil }
            if let descriptor = descriptors[identity] { return descriptor }
            let descriptor = open(path, O_RDWR | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            // Keyed by the opened file: the name may belong to another file by now.
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { return descriptor }
            descriptors[FileIdentity(status)] = descriptor
            return descriptor
        }
        guard let found else { return nil }
        descriptor = found
    }

    /// Whether another process holds `lock` exclusively now.
    package func isHeldByOthers(_ lock: WALLock) -> Bool {
        var request = flock()
        request.l_type = Int16(F_RDLCK)
        request.l_whence = Int16(SEEK_SET)
        request.l_start = off_t(lock.byte)
        request.l_len = 1
        return fcntl(descriptor, F_GETLK, &request) == 0 && request.l_type != Int16(F_UNLCK)
    }

    /// New connections cannot open a file without a name, and what the locks of its old users guard is gone with it.
    private static func closeUnlinked(_ descriptors: inout [FileIdentity: Int32]) {
        for (identity, descriptor) in descriptors {
            var status = stat()
            if fstat(descriptor, &status) == 0 && status.st_nlink > 0 { continue }
            close(descriptor)
            descriptors[identity] = nil
        }
    }
}
