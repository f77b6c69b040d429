#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why state cannot be kept.
package enum StateError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Another process uses the directory.
    case inUse(directory: String)
    /// The directory belongs to another user, who could read or change its files.
    case notOwned(directory: String)
    /// The path names something other than a directory, or a symbolic link.
    case notADirectory(path: String)
    /// A record larger than a file of the state may be.
    case recordTooLarge(byteCount: Int)
    /// The system refused an operation; the code is `errno`'s.
    case system(operation: String, path: String, code: Int32)

    package var description: String {
        switch self {
        case .inUse(let directory): "\(directory) is in use by another process"
        case .notOwned(let directory): "\(directory) belongs to another user"
        case .notADirectory(let path): "\(path) is not a directory"
        case .recordTooLarge(let count): "a record of \(count) bytes is too large"
        case .system(let operation, let path, let code):
            "\(operation) of \(path) failed: \(String(cString: strerror(code)))"
        }
    }
}
