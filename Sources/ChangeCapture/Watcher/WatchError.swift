public import SQLiteConnection

/// Why a file cannot be watched, or cannot be watched any longer.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum WatchError: Error, Sendable, Hashable, CustomStringConvertible {
    /// SQLite returned an error; see its code.
    case sqlite(SQLiteError)
    /// There is no file at the path.
    case noFile(path: String)
    /// The system does not allow to check whether there is a file.
    case unreachable(path: String, reason: String)
    /// Not a file that SQLite can read: another kind of file, or an encrypted one.
    case notADatabase(path: String, reason: String)
    /// A writer died during a commit, and this process may not write the file to roll it back.
    case recoveryNeeded(path: String)
    /// The file is in WAL mode, its log is missing, and this process cannot create one.
    case logUnavailable(path: String, reason: String)
    /// The path does not name a file that other processes can share: an in-memory database.
    case notAFile(path: String)
    /// The current state does not continue what was read before.
    case discontinuity(EpochReason)
    /// A page or a frame could not be decoded.
    case undecodable(String)
    /// The system refused a resource; the code is `errno`'s.
    case system(operation: String, code: Int32)
    case noThread(code: Int32)
    /// The watcher was stopped.
    case stopped
    /// A database in a rollback-journal mode that is too large for a copy cannot be read as of a position.
    case unreadablePosition(maxShadowBytes: Int)
    /// The database was written so quickly that no read transaction could begin at a known position.
    case tooBusy
    /// The reader of a ``FileWatcher`` was so far behind that its buffer of this many transactions overflowed.
    case bufferOverflow(maxTransactions: Int)

    public var description: String {
        switch self {
        // The SQL is internal and would explain nothing.
        case .sqlite(let error) where error.code.primary == .busy:
            "another process uses it exclusively (SQLite error \(error.code.rawValue): \(error.message))"
        case .sqlite(let error): "SQLite error \(error.code.rawValue): \(error.message)"
        case .noFile(let path): "there is no file at \(path)"
        case .unreachable(let path, let reason): "\(path) cannot be reached: \(reason)"
        case .notADatabase(let path, let reason): "\(path) is not a plain SQLite database: \(reason)"
        case .logUnavailable(let path, let reason):
            """
            \(path) is in WAL mode, and this process can neither open nor make its -wal and -shm files (\(reason)): let it \
            write to the directory, or keep the file open in a process that can
            """
        case .recoveryNeeded(let path):
            """
            a writer of \(path) died during a commit, and rolling that back needs to write the file and its \
            directory: let this process write them, or open the database once with a process that can
            """
        case .notAFile(let path): "\(path) is not a file that another process could write"
        case .discontinuity(let reason): "the sequence of changes is broken: \(reason)"
        case .undecodable(let what): "a change could not be decoded: \(what)"
        case .system(let operation, let code): "\(operation) failed with errno \(code)"
        case .noThread(let code): "no thread could be started (errno \(code))"
        case .stopped: "the watcher was stopped"
        case .unreadablePosition(let bytes):
            "a database larger than \(bytes) bytes can be read at a position only with PRAGMA journal_mode = WAL"
        case .tooBusy: "the database is written too quickly to begin a read at a known position"
        case .bufferOverflow(let count): "the reader fell behind by more than \(count) transactions"
        }
    }
}

extension WatchError {
    /// Whether waiting can help when a watcher starts: another process uses the file exclusively.
    var mayPass: Bool {
        if case .sqlite(let error) = self { error.code.primary == .busy } else { false }
    }

    /// The reason that the failure gives for a break in the sequence of transactions.
    var reason: EpochReason {
        switch self {
        case .discontinuity(let reason): reason
        case .undecodable(let what): EpochReason(.undecodable, "a change could not be decoded: \(what)")
        case .noFile, .unreachable: .removed
        case .notADatabase: .overwritten
        case .sqlite(let error) where error.code.primary == .notADatabase: .overwritten
        case .sqlite(let error) where error.code.primary == .corrupt: EpochReason(.undecodable, "\(self)")
        case .sqlite(let error) where error.code.primary == .inputOutput: EpochReason(.ioError, "\(self)")
        case .system: EpochReason(.ioError, "\(self)")
        default: .stateLost("\(self)")
        }
    }

    /// Interprets SQLite's error for opening the file at `path`.
    package init(opening path: String, _ error: SQLiteError) {
        switch error.code {
        case .readOnlyDirectory, .readOnlyCannotInitialize, .readOnlyRecovery:
            self = .logUnavailable(path: path, reason: error.message)
        case .readOnlyRollback:
            self = .recoveryNeeded(path: path)
        case .sharedMemorySize:
            self = .logUnavailable(path: path, reason: "\(error.message); is the disk full?")
        default:
            let isOther = error.code.primary == .notADatabase
            self = isOther ? .notADatabase(path: path, reason: error.message) : .sqlite(error)
        }
    }

    /// Runs `body` and converts SQLite's error.
    static func wrap<Result>(_ body: () throws(SQLiteError) -> Result) throws(WatchError) -> Result {
        do { return try body() } catch { throw .sqlite(error) }
    }

    /// Starts a thread.
    package static func startThread(
        _ name: String,
        priority: NamedThread.Priority = .normal,
        _ body: @escaping @Sendable () -> Void
    ) throws(WatchError) -> NamedThread {
        do { return try NamedThread(name: name, priority: priority, body) } catch { throw .noThread(code: error.errno) }
    }

    static func result<Success>(_ body: () throws(SQLiteError) -> Success) -> Result<Success, WatchError> {
        do { return .success(try body()) } catch { return .failure(.sqlite(error)) }
    }
}
