#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Identifies the time since the system was started: a file that was written before may have lost a part of the last writes.
package enum BootIdentity {
    /// The system's random identifier of the boot; nil when there is none.
    ///
    /// Source: [random(4)](https://man7.org/linux/man-pages/man4/random.4.html).
    package static let current: String? = {
        #if os(Linux)
            let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { return nil }
            defer { close(file) }
            var text = [UInt8](repeating: 0, count: 64)
            let count = read(file, &text, text.count)
            guard count > 0 else { return nil }
            return String(decoding: text[..<count], as: UTF8.self).split(separator: "\n").first.map(String.init)
        #else
            return nil
        #endif
    }()
}
