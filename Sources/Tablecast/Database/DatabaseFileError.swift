import ChangeCapture
import QueryEngine
import SQLiteConnection
package import WireProtocol

/// Why a file cannot be served. The description names the file, the problem and the solution.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum DatabaseFileError: Error, Sendable, Hashable {
    case notFound(path: String)
    /// The directory of the file does not exist.
    case noDirectory(path: String)
    case isDirectory(path: String)
    /// A device, a socket, a pipe.
    case isNoRegularFile(path: String)
    /// This user may not read the file.
    case notReadable(path: String)
    /// This user may not write the file, or its directory, where SQLite creates its journal.
    case notWritable(path: String)
    /// Any other error of the operating system.
    case unreachable(path: String, reason: String)
    case notADatabase(path: String)
    /// The file is in WAL mode, its log is missing, and this user cannot create one.
    case logUnavailable(path: String, reason: String)
    /// A writer died during a commit, and this user may not write the file to roll it back.
    case recoveryNeeded(path: String)
    /// Another process holds a lock that prevents switching the journal mode.
    case locked(path: String)
    /// Any other error of SQLite.
    case unusable(path: String, reason: String)
}

extension DatabaseFileError: CustomStringConvertible {
    public var description: String { advice.map { "\(problem). \($0)" } ?? problem }

    /// The problem, without a full stop.
    package var problem: String {
        switch self {
        case .notFound(let path): "there is no file '\(path)'"
        case .noDirectory(let path): "the directory '\(path)' does not exist"
        case .isDirectory(let path): "'\(path)' is a directory"
        case .isNoRegularFile(let path): "'\(path)' is not a regular file"
        case .notReadable(let path): "'\(path)' may not be read by this user"
        case .notWritable(let path): "'\(path)' may not be written by this user"
        case .unreachable(let path, let reason): "'\(path)' cannot be opened: \(reason)"
        case .notADatabase(let path): "'\(path)' is not a SQLite database"
        case .logUnavailable(let path, let reason):
            "'\(path)' is in WAL mode, and its -wal and -shm files can be neither opened nor created (\(reason))"
        case .recoveryNeeded(let path):
            "a writer of '\(path)' died during a commit, and this user may not write the file to roll it back"
        case .locked(let path): "'\(path)' cannot be switched to WAL mode while another process uses it"
        case .unusable(let path, let reason): "'\(path)' cannot be used: \(reason)"
        }
    }

    /// The solution, as a sentence.
    package var advice: String? {
        switch self {
        case .notFound: "Check the path: the file must exist; an empty one is an empty database."
        case .isDirectory: "Name the database file within it."
        case .isNoRegularFile: "Name a SQLite database file."
        case .notReadable: "Change its permissions, or run as a user that may read it."
        case .notWritable:
            "Serve it read-only, or change its permissions; SQLite creates its journal in the directory of the file, so that must be writable too."
        case .notADatabase(let path) where path.lowercased().hasSuffix(".sql"):
            "It seems to be an SQL script. To build a database of it and serve that: tablecast serve new.db --init \(path)"
        case .notADatabase: "It does not begin with 'SQLite format 3'. An encrypted database looks like this too."
        case .logUnavailable: "Let this user write to the directory, or keep the file open in a process that can."
        case .recoveryNeeded:
            "Let this user write the file and its directory, which --read-only needs for this as well, or open it once with a program that may, such as the sqlite3 shell."
        case .locked: "Try again when the other process has closed it, or serve the file in its current mode."
        case .noDirectory, .unreachable, .unusable: nil
        }
    }
}

extension ErrorCode {
    /// The error that clients receive when a request other than a query could not read the database.
    package init(of error: any Error) {
        self =
            switch error {
            case let error as ProtocolError: error.code
            case let error as SQLiteError: ErrorCode(error)
            case let error as WatchError: ErrorCode(error)
            case is SQLExecutorStopped: .databaseGone
            default: .databaseError
            }
    }

    private init(_ error: SQLiteError) { self.init(rawValue: QueryFailure(error).code.rawValue) }

    private init(_ error: WatchError) {
        self =
            switch error {
            case .sqlite(let error): ErrorCode(error)
            case .noFile, .notADatabase, .logUnavailable, .notAFile, .stopped: .databaseGone
            case .tooBusy: .busy
            case .unreadablePosition: .tooBig
            default: .databaseError
            }
    }
}

/// A view whose tables or columns are missing, or a virtual table whose module is missing: it is in the schema, and any
/// use of it fails.
package struct UnusableTable: Error, Sendable, Hashable, CustomStringConvertible {
    let name: String
    /// The type according to `PRAGMA table_list`.
    let kind: String
    /// SQLite's error.
    let reason: String

    package var description: String {
        "the \(kind == "virtual" ? "virtual table" : kind) \(quoted(name)) cannot be used: \(reason)"
    }
}
