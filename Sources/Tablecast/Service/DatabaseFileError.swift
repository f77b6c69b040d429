import SQLiteConnection

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why a file cannot be served. The description says what to do.
public enum DatabaseFileError: Error, Sendable, Hashable {
    case notFound(path: String)
    case isDirectory(path: String)
    case notADatabase(path: String)
    case permissionDenied(path: String)
    case unusable(path: String, reason: String)
}

extension DatabaseFileError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notFound(let path):
            "there is no file \(path); create it first, for instance with: sqlite3 \(path) 'PRAGMA journal_mode = WAL'"
        case .isDirectory(let path):
            "\(path) is a directory; name the database file in it"
        case .notADatabase(let path):
            "\(path) is not an SQLite database, or it is encrypted"
        case .permissionDenied(let path):
            "\(path) cannot be read by this user; the service needs to read it, and to write it and its directory unless it is read-only"
        case .unusable(let path, let reason):
            "\(path) cannot be opened: \(reason)"
        }
    }
}

/// A database file that was looked at before anything else opens it.
struct DatabaseFile {
    /// The last component of the path.
    let name: String

    static func checked(_ configuration: DatabaseConfiguration) throws(DatabaseFileError) -> DatabaseFile {
        let path = configuration.path
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw errno == EACCES ? .permissionDenied(path: path) : .notFound(path: path)
        }
        if status.st_mode & S_IFMT == S_IFDIR { throw .isDirectory(path: path) }
        guard access(path, R_OK) == 0 else { throw .permissionDenied(path: path) }
        do throws(SQLiteError) {
            let connection = try Connection(path: path, mode: configuration.switchesToWAL ? .readWrite : .readOnly)
            connection.setBusyTimeout(.seconds(5))
            _ = try connection.query("SELECT count(*) FROM sqlite_schema")
            if configuration.switchesToWAL { _ = try connection.query("PRAGMA journal_mode = WAL") }
        } catch {
            switch error.code.primary {
            case .notADatabase: throw .notADatabase(path: path)
            case .cantOpen, .permission: throw .permissionDenied(path: path)
            default: throw .unusable(path: path, reason: error.message)
            }
        }
        return DatabaseFile(name: path.split(separator: "/").last.map(String.init) ?? path)
    }
}
