/// One opening of the file: captures until the file is another one or the watcher is stopped.
protocol WatchSession: AnyObject {
    func run() throws(WatchError) -> SessionEnd
    func close()
}

/// Why a session came to its end in an orderly way.
enum SessionEnd: Equatable {
    case stopped
    /// What was captured and what will be do not join.
    case broken(EpochReason)

    var reason: EpochReason? {
        switch self {
        case .stopped: nil
        case .broken(let reason): reason
        }
    }
}
