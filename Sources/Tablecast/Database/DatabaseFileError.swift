import ChangeCapture
import QueryEngine
import SQLiteConnection
package import WireProtocol

/// Why a file cannot be served. The description names the file, says what is wrong with it and what to do.
public enum DatabaseFileError: Error, Sendable, Hashable {
    case notFound(path: String)
    /// The directory that the file would be in does not exist.
    case noDirectory(path: String)
    case isDirectory(path: String)
    /// A device, a socket, a pipe.
    case isNoRegularFile(path: String)
    /// This user may not read the file.
    case notReadable(path: String)
    /// This user may not write the file, or may not write beside it, where SQLite keeps its journal.
    case notWritable(path: String)
    /// What the operating system says, where no other case fits.
    case unreachable(path: String, reason: String)
    case notADatabase(path: String)
    /// The file is in WAL mode, its log is not there, and this user cannot make one beside it.
    case logUnavailable(path: String, reason: String)
    /// A writer died in the midst of a commit, and this user may not write the file to roll that back.
    case recoveryNeeded(path: String)
    /// Another process has a lock that does not let the journal mode be switched.
    case locked(path: String)
    /// What SQLite says, where no other case fits.
    case unusable(path: String, reason: String)
}

extension DatabaseFileError: CustomStringConvertible {
    public var description: String { advice.map { "\(problem). \($0)" } ?? problem }

    /// What is wrong, without a full stop.
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
            "'\(path)' is in WAL mode, and its -wal and -shm files can be neither opened nor made (\(reason))"
        case .recoveryNeeded(let path):
            "a writer of '\(path)' died in the midst of a commit, and this user may not write the file to roll that back"
        case .locked(let path): "'\(path)' cannot be switched to WAL mode while another process uses it"
        case .unusable(let path, let reason): "'\(path)' cannot be used: \(reason)"
        }
    }

    /// What to do about it, as a sentence.
    package var advice: String? {
        switch self {
        case .notFound: "Check the path: the file must exist; an empty one is an empty database."
        case .isDirectory: "Name the database file within it."
        case .isNoRegularFile: "Name a SQLite database file."
        case .notReadable: "Change its permissions, or run as a user that may read it."
        case .notWritable:
            "Serve it read-only, or change its permissions; SQLite keeps its journal beside the file, so its directory counts too."
        case .notADatabase(let path) where path.lowercased().hasSuffix(".sql"):
            "It seems to be an SQL script. To build a database of it and serve that: tablecast serve new.db --init \(path)"
        case .notADatabase: "It does not begin with 'SQLite format 3'. An encrypted database looks like this too."
        case .logUnavailable: "Let this user write to the directory, or keep the file open in a process that can."
        case .recoveryNeeded:
            "Let this user write the file and its directory, which --read-only needs for this as well, or open it once with a program that may, such as the sqlite3 shell."
        case .locked: "Try again when it is let go of, or serve the file in the mode that it has."
        case .noDirectory, .unreachable, .unusable: nil
        }
    }
}

extension ErrorCode {
    /// What clients are told when something else than their query could not read the database.
    package init(of error: any Error) {
        self =
            switch error {
            case let error as ProtocolError: error.code
            case let error as SQLiteError: ErrorCode(error)
            case let error as WatchError: ErrorCode(error)
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

/// A view whose tables or columns are gone, or a virtual table whose module is missing: it is in the schema, and any use of
/// it fails.
package struct UnusableTable: Error, Sendable, Hashable, CustomStringConvertible {
    let name: String
    /// As `PRAGMA table_list` says it.
    let kind: String
    /// What SQLite says.
    let reason: String

    package var description: String {
        "the \(kind == "virtual" ? "virtual table" : kind) \(quoted(name)) cannot be used: \(reason)"
    }
}
