import ChangeCapture
import SQLiteConnection
import Tablecast

extension CommandFailure {
    /// A file cannot be served or watched.
    init(_ error: DatabaseFileError) {
        let reason: ExitReason =
            switch error {
            case .notFound, .noDirectory, .isDirectory, .isNoRegularFile, .unreachable: .noInput
            case .notADatabase, .unusable: .notADatabase
            case .notReadable, .notWritable, .logUnavailable, .recoveryNeeded: .noPermission
            case .locked: .temporaryFailure
            }
        self.init(reason, error.problem, advice: error.advice)
    }

    /// The file at `path` cannot be watched.
    init(_ error: WatchError, path: String) {
        switch error {
        case .notADatabase(_, let reason):
            self.init(.notADatabase, "'\(path)' is not a database that can be watched: \(reason)")
        case .logUnavailable(_, let reason):
            self.init(DatabaseFileError.logUnavailable(path: path, reason: reason))
        case .recoveryNeeded:
            self.init(DatabaseFileError.recoveryNeeded(path: path))
        case .sqlite(let error) where [.corrupt, .notADatabase, .error].contains(error.code.primary):
            self.init(.notADatabase, "'\(path)' cannot be watched: \(error.message)")
        case .undecodable:
            self.init(.notADatabase, "'\(path)' cannot be watched: \(error)")
        default:
            self.init(.noInput, "'\(path)' cannot be watched: \(error)")
        }
    }
}
