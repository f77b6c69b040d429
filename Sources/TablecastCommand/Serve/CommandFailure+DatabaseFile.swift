import Tablecast

extension CommandFailure {
    /// A file cannot be served or watched.
    init(_ error: DatabaseFileError) {
        let reason: ExitReason =
            switch error {
            case .notFound, .noDirectory, .isDirectory, .isNoRegularFile, .unreachable: .noInput
            case .notADatabase, .unusable: .notADatabase
            case .notReadable, .notWritable: .noPermission
            }
        self.init(reason, error.problem, advice: error.advice)
    }
}
