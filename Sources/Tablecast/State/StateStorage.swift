import Broadcast
import Logging
import StateStore
import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where a ``TablecastService`` keeps its state: the epoch, and the latest transactions with their rows.
///
/// With it, positions go on through restarts, crashes and upgrades as long as every commit is known; otherwise a new epoch begins.
/// The directory is locked by one process and readable by its owner alone. See <doc:Restarts>.
public struct StateStorage: Sendable, Hashable {
    enum Place: Hashable {
        case none
        case besideDatabase
        case directory(String)
    }

    let place: Place

    /// Nothing is kept: each start begins a new epoch.
    public static let none = StateStorage(place: .none)

    /// In a directory with the name of the database file and `-tablecast`, beside it.
    public static let besideDatabase = StateStorage(place: .besideDatabase)

    /// In this directory, which is created if it does not exist. Its parent must exist.
    public static func directory(_ path: String) -> StateStorage { StateStorage(place: .directory(path)) }

    static let suffix = "-tablecast"
}

/// The state of a service that starts. A state that cannot be used is reported, and never prevents the start.
struct OpenedState {
    private(set) var keeper: StateKeeper?
    /// What an earlier process left.
    private(set) var earlier: StateKeeper.Earlier?
    /// The position before the first transaction, as long as it is not known whether an earlier epoch goes on.
    private(set) var start: Position

    /// - Parameter history: the history in memory: what it cannot hold is not read, and stays available on disk.
    init(
        _ configuration: DatabaseConfiguration,
        limits configured: StateLimits,
        history: HistoryLimits,
        _ logger: Logger
    ) {
        start = Position(epoch: Epoch.make(), sequence: 0)
        guard configuration.memory == nil, let (path, isChosen) = configuration.statePath else { return }
        var limits = RecordLogLimits()
        limits.maxBytes = configured.maxBytes
        limits.maxAge = configured.maxAge
        // A record on disk is smaller than its transaction in memory, so these fill the history.
        limits.maxRestoredBytes = min(limits.maxRestoredBytes, history.maxBytes)
        limits.maxRestoredTransactions = history.maxTransactions
        do throws(StateError) {
            let directory = try StateDirectory(path: path, followsLink: isChosen)
            let opened = try StateKeeper.open(directory, of: configuration.path, limits: limits)
            for problem in opened.problems { logger.warning("\(problem)") }
            keeper = opened.keeper
            earlier = opened.earlier
            if earlier == nil { start = opened.keeper.beginEpoch() }
        } catch {
            logger.warning("no state is kept, and each start begins a new epoch: \(error)")
        }
    }
}

extension DatabaseConfiguration {
    /// The directory of the state, and whether its path was chosen by the operator.
    fileprivate var statePath: (path: String, isChosen: Bool)? {
        switch state.place {
        case .none: return nil
        case .directory(let path): return (path, true)
        case .besideDatabase:
            // Beside the file itself, like its log, so that all names of the file have the same state.
            guard let resolved = realpath(path, nil) else { return (path + StateStorage.suffix, false) }
            defer { free(resolved) }
            return (String(cString: resolved) + StateStorage.suffix, false)
        }
    }
}
