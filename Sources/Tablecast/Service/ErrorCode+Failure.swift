import ChangeCapture
import QueryService
import SQLiteConnection
package import WireProtocol

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
