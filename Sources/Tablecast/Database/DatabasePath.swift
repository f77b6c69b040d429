import ChangeCapture
import SQLiteConnection

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A path, checked before SQLite opens it, for clear error messages.
///
/// SQLite itself reports "unable to open database file" for a file that is missing, for a directory and for a file
/// without read permission. The file is only opened through SQLite: closing another descriptor would release every lock
/// that this process has on the file ([How To Corrupt](https://sqlite.org/howtocorrupt.html), section 2.2).
package struct DatabasePath: Sendable {
    package enum Finding: Sendable, Hashable {
        case missing
        /// A file, not necessarily a database.
        case file
    }

    /// One page of the smallest size ([file format](https://sqlite.org/fileformat2.html#page_size)).
    private static let minDatabaseBytes = 512

    package let path: String

    package init(_ path: String) { self.path = path }

    /// The last component.
    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// Checks that there is a file that SQLite can try to open.
    ///
    /// - Parameter writable: whether the file and its directory must allow writing.
    package func inspect(writable: Bool) throws(DatabaseFileError) -> Finding {
        var status = stat()
        guard stat(path, &status) == 0 else {
            switch errno {
            case ENOENT where access(directory, F_OK) == 0: return .missing
            case ENOENT: throw .noDirectory(path: directory)
            case EACCES: throw .notReadable(path: path)
            case let code: throw .unreachable(path: path, reason: String(cString: strerror(code)))
            }
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw .isDirectory(path: path)
        default: throw .isNoRegularFile(path: path)
        }
        guard access(path, R_OK) == 0 else { throw .notReadable(path: path) }
        if writable {
            guard access(path, W_OK) == 0 else { throw .notWritable(path: path) }
            guard access(directory, W_OK) == 0 else { throw .notWritable(path: directory) }
        }
        // SQLite opens a file that is shorter than its smallest page, and fails later.
        guard status.st_size == 0 || status.st_size >= Self.minDatabaseBytes else { throw .notADatabase(path: path) }
        return .file
    }

    /// Reads page 1, without the schema, whose parsing takes time, and switches to write-ahead logging if requested.
    ///
    /// Waits for a file that another process has locked only for a switch, for five seconds. Otherwise a locked file
    /// may later turn out not to be a database; the watcher waits for it and reports that.
    ///
    /// - Returns: the connection, which has no open transaction; nil for a locked file.
    func open(switchingToWAL: Bool) throws(DatabaseFileError) -> Connection? {
        do throws(SQLiteError) {
            // Not read-only: SQLite may first have to roll back the commit of a writer that died.
            let connection = try Connection(path: path, mode: .readWrite)
            connection.setBusyTimeout(switchingToWAL ? .seconds(5) : .zero)
            _ = try connection.query("PRAGMA schema_version")
            if switchingToWAL { _ = try connection.query("PRAGMA journal_mode = WAL") }
            return connection
        } catch {
            if error.code.primary == .busy, !switchingToWAL { return nil }
            throw failure(error)
        }
    }

    private func failure(_ error: SQLiteError) -> DatabaseFileError {
        switch WatchError(opening: path, error) {
        case .notADatabase: .notADatabase(path: path)
        case .logUnavailable(_, let reason): .logUnavailable(path: path, reason: reason)
        case .recoveryNeeded: .recoveryNeeded(path: path)
        default:
            switch error.code.primary {
            case .busy: .locked(path: path)
            case .cantOpen, .permission: .notReadable(path: path)
            default: .unusable(path: path, reason: error.message)
            }
        }
    }

    /// The directory of the journal.
    private var directory: String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
