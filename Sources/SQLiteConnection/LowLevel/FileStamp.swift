#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// How long a file is and when it was written last: another one after each write, as far as the clock of the file system goes.
package struct FileStamp: Hashable, Sendable {
    package let byteCount: Int64
    private let seconds: Int
    private let nanoseconds: Int

    /// Asks by name, which opens no descriptor; nil when there is no such file.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        byteCount = Int64(status.st_size)
        #if canImport(Darwin)
            let time = status.st_mtimespec
        #else
            let time = status.st_mtim
        #endif
        seconds = Int(time.tv_sec)
        nanoseconds = Int(time.tv_nsec)
    }
}
