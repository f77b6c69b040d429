#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Constants of a library, in memory that the dynamic linker has made read-only.
enum ReadOnlyData {
    /// Runs `body` while a constant can be written, and then restores the protection of its pages. Returns false, without
    /// having run `body`, where the system does not permit it.
    static func withWritable<T>(_ constant: UnsafePointer<T>, _ body: (UnsafeMutablePointer<T>) -> Void) -> Bool {
        #if os(Linux)
            let pageBytes = UInt(sysconf(Int32(_SC_PAGESIZE)))
            let address = UInt(bitPattern: constant)
            let start = address & ~(pageBytes - 1)
            let byteCount = Int(address - start) + MemoryLayout<T>.size
            guard let protection = protection(of: address), let pages = UnsafeMutableRawPointer(bitPattern: start)
            else {
                return false
            }
            guard mprotect(pages, byteCount, protection | PROT_WRITE) == 0 else { return false }
            body(UnsafeMutablePointer(mutating: constant))
            // Where this fails the page stays writable, as it is without RELRO.
            mprotect(pages, byteCount, protection)
            return true
        #else
            return false
        #endif
    }

    #if os(Linux)
        /// Source: [proc_pid_maps(5)](https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html).
        private static func protection(of address: UInt) -> Int32? {
            guard let file = fopen("/proc/self/maps", "re") else { return nil }
            defer { fclose(file) }
            var line: UnsafeMutablePointer<CChar>?
            var capacity = 0
            defer { free(line) }
            while getline(&line, &capacity, file) > 0, let line {
                // 55d0c0a00000-55d0c0a21000 r--p …
                let fields = String(cString: line).split(separator: " ", maxSplits: 2)
                guard fields.count > 1 else { continue }
                let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
                guard ends.count == 2, ends[0] <= address, address < ends[1] else { continue }
                return fields[1].reduce(PROT_NONE) { protection, letter in
                    switch letter {
                    case "r": protection | PROT_READ
                    case "w": protection | PROT_WRITE
                    case "x": protection | PROT_EXEC
                    default: protection
                    }
                }
            }
            return nil
        }
    #endif
}
