/// One opening of the file: captures until the file is another one or the watcher is stopped.
protocol WatchSession: AnyObject {
    func run() throws(WatchError) -> SessionEnd
    func close()
}

/// Why a session came to its end in an orderly way.
enum SessionEnd: Equatable {
    case stopped
    case fileGone
    case fileReplaced
    /// Somebody who does not use SQLite deleted the log or its index.
    case logDeleted
    /// The file was too large to be compared and is not any more.
    case shrunk
    /// Somebody changed it to this one.
    case journalModeChanged(String)

    /// What that means for the sequence of transactions.
    var reason: EpochReason? {
        switch self {
        case .stopped: nil
        case .fileGone: .reopened
        case .fileReplaced: .fileReplaced
        case .logDeleted: .logDeleted
        case .shrunk: .shrunk
        case .journalModeChanged(let mode): .journalModeChanged(mode)
        }
    }
}
