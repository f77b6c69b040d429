import SQLiteConnection
import Synchronization

/// Syncs the write-ahead log, so that one sync makes many commits of this process's writer durable.
///
/// The writer commits with `synchronous=NORMAL`: then SQLite does not sync the log after a commit, only when it begins the log
/// again and before a checkpoint copies it. ``LocalCommitLedger`` syncs it before any of these commits is published or answered.
///
/// A commit after a failed sync cannot be durable either, although its own sync succeeds: the system may have discarded what it
/// could not write, and a recovery of the log ends there. This lasts until a writer begins the log again, which it does only
/// after a checkpoint has copied the whole log into the database file and synced that.
final class LogSync: Sendable {
    private struct State: ~Copyable {
        var databasePath: String
        /// Opened before the commits that it syncs: the system reports a failed write to every descriptor of its time.
        var log: WALFile?
        var failure: SQLiteError?
        var isFailureReported = false
    }

    private let state: Mutex<State>

    init(databasePath: String) { state = Mutex(State(databasePath: databasePath)) }

    /// Uses the log of the file that is watched from now on.
    func open(databasePath: String) {
        state.withLock { state in
            let earlier = state.log?.identity
            state.log = WALFile(databasePath: databasePath)
            if state.log?.identity != earlier { state.failure = nil }
            state.databasePath = databasePath
        }
    }

    /// A writer began the log again: the file is durable with everything before.
    func logRestarted() { state.withLock { $0.failure = nil } }

    /// Syncs everything that is in the log now.
    ///
    /// - Returns: why the commits in it may not survive a loss of power; nil when they will.
    func sync() -> SQLiteError? {
        state.withLock { state in
            if state.failure != nil { return state.failure }
            do throws(SQLiteError) {
                if state.log == nil { state.log = WALFile(databasePath: state.databasePath) }
                guard try state.log?.sync() != nil else {
                    throw SQLiteError(
                        code: .inputOutputSync,
                        message: "the write-ahead log cannot be opened to sync it"
                    )
                }
                guard state.log?.isInPlace == true else {
                    throw SQLiteError(
                        code: .inputOutputSync,
                        message: "the write-ahead log was deleted or moved while it was in use"
                    )
                }
                guard try state.log?.hasHeader() == true else {
                    throw SQLiteError(
                        code: .inputOutputSync,
                        message: "something other than SQLite overwrote the write-ahead log while it was in use"
                    )
                }
                return nil
            } catch {
                state.failure = error
                state.isFailureReported = false
                return error
            }
        }
    }

    /// Whether commits in the log may not survive a loss of power.
    var hasFailed: Bool { state.withLock { $0.failure != nil } }

    /// The failure that has begun since the last call.
    func takeNewFailure() -> SQLiteError? {
        state.withLock { state in
            if state.isFailureReported { return nil }
            state.isFailureReported = state.failure != nil
            return state.failure
        }
    }
}
