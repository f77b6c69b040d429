#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The identity of the file that a path names: a replacement of the same name has another identity.
package struct FileIdentity: Hashable, Sendable {
    package let device: UInt64
    package let inode: UInt64

    package init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    /// Looks the file up by name, which opens no descriptor; nil when there is no regular file of that name.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        self.init(status)
    }

    /// The system's error for a path whose file cannot be inspected; nil when there is simply no file of that name.
    package static func obstacle(at path: String) -> String? {
        var status = stat()
        guard stat(path, &status) != 0, errno != ENOENT, errno != ENOTDIR else { return nil }
        return String(cString: strerror(errno))
    }

    init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }
}

/// The length and the modification time of a file: they change with each write, within the resolution of the file
/// system's clock.
package struct FileStamp: Hashable, Sendable {
    /// The identity of the file that has the name.
    package let identity: FileIdentity
    package let byteCount: Int64
    /// The modification time.
    package let seconds: Int
    package let nanoseconds: Int

    /// Looks the file up by name, which opens no descriptor; nil when there is no such file.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        identity = FileIdentity(status)
        byteCount = Int64(status.st_size)
        #if canImport(Darwin)
            let time = status.st_mtimespec
        #else
            let time = status.st_mtim
        #endif
        seconds = Int(time.tv_sec)
        nanoseconds = Int(time.tv_nsec)
    }

    /// Whether the last write is so recent that another one can leave the same time: file systems record the time of
    /// the system's last tick, 1 to 10 milliseconds apart.
    package var isRecent: Bool {
        // A time in the future does not order two writes either.
        ageNanoseconds < Self.tickNanoseconds
    }

    /// Whether any later write has left another time: on file systems that record hundredths of seconds or whole seconds, too.
    package var isConclusive: Bool {
        ageNanoseconds
            >= (nanoseconds % Self.coarseTickNanoseconds == 0 ? Self.longestTickNanoseconds : Self.tickNanoseconds)
    }

    private var ageNanoseconds: Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return (Int(now.tv_sec) - seconds) * 1_000_000_000 + Int(now.tv_nsec) - nanoseconds
    }

    private static let tickNanoseconds = 20_000_000
    private static let coarseTickNanoseconds = 10_000_000
    /// FAT records every other second.
    private static let longestTickNanoseconds = 2_100_000_000
}
