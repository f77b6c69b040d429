#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Which file a path names: a file that was replaced by another of the same name has another identity.
package struct FileIdentity: Hashable, Sendable {
    package let device: UInt64
    package let inode: UInt64

    /// Asks by name, which opens no descriptor; nil when there is no such file.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// What the system says about a path that names no file which could be looked at; nil where simply none has that name.
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

/// How long a file is and when it was written last: another one after each write, as far as the clock of the file system goes.
package struct FileStamp: Hashable, Sendable {
    /// Which file has the name.
    package let identity: FileIdentity
    package let byteCount: Int64
    private let seconds: Int
    private let nanoseconds: Int

    /// Asks by name, which opens no descriptor; nil when there is no such file.
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

    /// Whether the last write may be so recent that another one can follow and leave the same time: file systems note the
    /// time of the system's last tick, 1 to 10 milliseconds apart.
    package var isRecent: Bool {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let age = (Int(now.tv_sec) - seconds) * 1_000_000_000 + Int(now.tv_nsec) - nanoseconds
        // A time in the future says nothing of the order of two writes either.
        return age < Self.tickNanoseconds
    }

    private static let tickNanoseconds = 20_000_000
}
