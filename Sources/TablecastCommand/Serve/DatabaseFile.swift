#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Looks at a path before SQLite does, to say in plain words what is wrong with it.
///
/// SQLite itself says "unable to open database file" for a file that is missing, one that is a directory and one that may not
/// be read, and finds out only at the first statement that a file is no database.
struct DatabaseFile: Sendable {
    var path: String

    enum State: Sendable, Hashable {
        /// There is nothing at the path.
        case missing
        /// An empty file, which is a valid empty database.
        case empty
        case database
    }

    /// The first 16 bytes of every [database file](https://sqlite.org/fileformat2.html#magic_header_string).
    static let magic = Array("SQLite format 3\u{0}".utf8)

    /// Says what is at the path, and throws a ``CommandFailure`` where it can never be served.
    ///
    /// - Parameter writable: Whether the file and its directory must allow writing.
    func inspect(writable: Bool) throws -> State {
        var information = stat()
        guard stat(path, &information) == 0 else { return try reasonForNoFile(errno) }
        switch information.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR:
            throw CommandFailure(.noInput, "'\(path)' is a directory", advice: "Name the database file within it.")
        default:
            throw CommandFailure(.noInput, "'\(path)' is not a regular file", advice: "Name a SQLite database file.")
        }
        guard access(path, R_OK) == 0 else {
            throw CommandFailure(
                .noPermission,
                "'\(path)' may not be read by this user",
                advice: "Change its permissions, or run as a user that may read it."
            )
        }
        if writable { try requireWritable() }
        guard information.st_size > 0 else { return .empty }
        guard try readHeader() == Self.magic else {
            throw CommandFailure(
                .notADatabase,
                "'\(path)' is not a SQLite database",
                advice: "It does not begin with 'SQLite format 3'. An encrypted database looks like this too."
            )
        }
        return .database
    }

    private func reasonForNoFile(_ code: Int32) throws -> State {
        switch code {
        case ENOENT:
            guard access(directory, F_OK) == 0 else {
                throw CommandFailure(.noInput, "the directory '\(directory)' does not exist")
            }
            return .missing
        case EACCES:
            throw CommandFailure(.noPermission, "'\(path)' cannot be reached by this user: permission denied")
        default:
            throw CommandFailure(.noInput, "'\(path)' cannot be opened: \(SystemError.message(code))")
        }
    }

    private func requireWritable() throws {
        guard access(path, W_OK) == 0 else {
            throw CommandFailure(
                .noPermission,
                "'\(path)' may not be written by this user",
                advice: "Serve it with --read-only, or change its permissions."
            )
        }
        guard access(directory, W_OK) == 0 else {
            throw CommandFailure(
                .noPermission,
                "the directory '\(directory)' may not be written by this user",
                advice:
                    "SQLite keeps its journal beside the database. Serve it with --read-only, or change the permissions."
            )
        }
    }

    private func readHeader() throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure(.noInput, "'\(path)' cannot be opened: \(SystemError.message())")
        }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: Self.magic.count)
        let count = header.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return Array(header.prefix(max(count, 0)))
    }

    /// Where the journal goes.
    private var directory: String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
