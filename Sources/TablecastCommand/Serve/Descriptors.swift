#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The file descriptors of this process: their limit, and that child processes do not inherit them.
enum Descriptors {
    /// More than any configuration needs; not higher, because some programs iterate over all numbers up to the limit.
    static let maxLimit = 1 << 20

    /// Raises the limit of this process as far as the system allows, and returns it.
    static func raiseLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return Int.max }
        let wanted = min(limit.rlim_max, rlim_t(maxLimit))
        if wanted > limit.rlim_cur {
            var raised = limit
            raised.rlim_cur = wanted
            if setrlimit(resource, &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Marks every open descriptor except the standard ones as close-on-exec: libraries open some without the flag, and
    /// a child process, such as the one that writes a backtrace after a crash, would keep them open.
    static func closeAllOnExec() {
        guard let directory = opendir("/dev/fd") else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let descriptor = CInt(name), descriptor > 2 else { continue }
            let flags = fcntl(descriptor, F_GETFD)
            // A descriptor that was closed meanwhile has no flags.
            if flags >= 0, flags & FD_CLOEXEC == 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }

    #if canImport(Glibc)
        private static let resource = __rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue))
    #else
        private static let resource = RLIMIT_NOFILE
    #endif
}
