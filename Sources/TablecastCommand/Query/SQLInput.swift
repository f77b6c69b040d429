#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where a command reads SQL from: standard input, or a file or device that an option names, `-` for standard input. It may be
/// empty.
enum SQLInput {
    static func standardInput(maxBytes: Int) throws(CommandFailure) -> String {
        try read(STDIN_FILENO, "standard input", maxBytes: maxBytes)
    }

    static func file(_ path: String, maxBytes: Int) throws(CommandFailure) -> String {
        if path == "-" { return try standardInput(maxBytes: maxBytes) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure(.noInput, "the SQL file '\(path)' cannot be read: \(SystemError.message())")
        }
        defer { _ = close(descriptor) }
        return try read(descriptor, "the SQL file '\(path)'", maxBytes: maxBytes)
    }

    /// Everything up to the end, as UTF-8.
    private static func read(_ descriptor: Int32, _ name: String, maxBytes: Int) throws(CommandFailure) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes { readBytes(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw CommandFailure(.noInput, "\(name) cannot be read: \(SystemError.message())")
            }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= maxBytes else {
                throw CommandFailure(.usage, "\(name) has more than \(Figures.grouped(maxBytes)) bytes of SQL")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.usage, "\(name) is not UTF-8")
        }
        return text
    }
}

/// `read(2)`, under a name that no method of this file has.
private func readBytes(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, buffer, count)
}
