import SQLiteConnection

/// The life of a watcher's thread: opens the file, captures until something ends that, says so, and opens it again.
final class WatchSupervisor: Sendable {
    private let path: String
    private let limits: WatcherLimits
    private let delivery: CommitDelivery
    private let wake: WakeSignal

    init(path: String, limits: WatcherLimits, delivery: CommitDelivery, wake: WakeSignal) {
        self.path = path
        self.limits = limits
        self.delivery = delivery
        self.wake = wake
    }

    /// Runs until the watcher is stopped. Calls `started` once with how the first opening went.
    func run(_ started: (Result<Void, WatchError>) -> Void) {
        var isFirst = true
        /// Why the next session's changes do not join the last one's; nil while nothing was lost.
        var breach: EpochReason?
        var isGone = false
        while !delivery.isStopped {
            do throws(WatchError) {
                let session = try open()
                defer { session.close() }
                if isGone { delivery.send(.databaseBack) }
                isGone = false
                if let reason = breach { delivery.send(.epochChanged(reason)) }
                breach = nil
                delivery.releaseOwnCommits()
                if isFirst { started(.success(())) }
                isFirst = false
                breach = try session.run().reason
            } catch {
                if isFirst, !error.mayPass {
                    started(.failure(error))
                    return
                }
                if isFirst { started(.success(())) }
                isFirst = false
                breach = breach ?? error.reason
                if !isGone, error.isAbsence {
                    isGone = true
                    delivery.send(.databaseGone("\(error)"))
                }
                delivery.refuseJobs(error)
                delivery.releaseOwnCommits()
                if delivery.waitForStop(atMost: limits.reopenInterval) { break }
            }
        }
        delivery.refuseJobs(.stopped)
    }

    private func open() throws(WatchError) -> any WatchSession {
        guard let identity = FileIdentity(path: path) else { throw .noFile(path: path) }
        let file: DatabaseFile
        do {
            file = try DatabaseFile(path: path, mode: .readWrite, busyTimeout: limits.busyTimeout)
        } catch {
            if error.code.primary == .notADatabase { throw .notADatabase(path: path, reason: error.message) }
            throw .sqlite(error)
        }
        let events = FileEvents(databasePath: path, wake: wake)
        let mode = try WatchError.wrap { () throws(SQLiteError) in try file.journalMode() }
        if file.isReadOnly {
            delivery.send(
                .notice("\(path) cannot be written by this process: its log is kept short by its writers alone")
            )
        }
        if mode == "wal" {
            return try WALSession(
                path: path,
                file: file,
                identity: identity,
                events: events,
                delivery: delivery,
                limits: limits
            )
        }
        delivery.send(
            .notice(
                """
                \(path) has journal mode \(mode): commits of other processes that follow one another quickly are reported \
                as one, and of a file above \(limits.maxShadowBytes >> 20) MB without rows. In WAL mode each is reported by \
                itself; switch with: PRAGMA journal_mode=WAL
                """
            )
        )
        return try RollbackSession(
            path: path,
            file: file,
            identity: identity,
            events: events,
            delivery: delivery,
            limits: limits
        )
    }
}
