#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What another program pipes in.
enum StandardInput {
    /// Everything up to the end of the input, as UTF-8.
    static func readAll(maxBytes: Int) throws(CommandFailure) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw CommandFailure(.noInput, "standard input cannot be read: \(SystemError.message())")
            }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= maxBytes else {
                throw CommandFailure(.usage, "standard input has more than \(Figures.grouped(maxBytes)) bytes of SQL")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.usage, "standard input is not UTF-8")
        }
        return text
    }
}
