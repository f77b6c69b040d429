#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

package enum TemporaryFiles {
    /// The directory for test files; in memory where the system has a memory file system.
    package static var directory: String { access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp" }

    /// Removes a database with its log.
    package static func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(path + suffix) }
    }

    /// The content of a file; empty when it does not exist.
    package static func bytes(of path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let size = ftell(file)
        rewind(file)
        guard size > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = fread(buffer.baseAddress, 1, size, file)
        }
    }

    /// Replaces the last bytes of a file, which must be as expected.
    package static func overwrite(_ path: String, atEnd expected: [UInt8], with bytes: [UInt8]) {
        precondition(Self.bytes(of: path).suffix(expected.count).elementsEqual(expected), "\(path) ends otherwise")
        guard let file = fopen(path, "r+") else { preconditionFailure("\(path) cannot be opened") }
        defer { fclose(file) }
        fseek(file, -expected.count, SEEK_END)
        fwrite(bytes, 1, bytes.count, file)
    }

    package static func environment(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
}

/// Flushes the output, also into a pipe.
package func flushOutput() { fflush(nil) }

/// Ends the process.
package func exitProcess(_ code: Int32) -> Never { exit(code) }
