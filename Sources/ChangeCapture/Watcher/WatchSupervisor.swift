import SQLiteConnection
import Synchronization

/// Runs a watcher's thread: opens the file, captures until the session ends, reports the reason, and opens the file
/// again.
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

    /// Runs until the watcher is stopped. Calls `started` once with the result of the first opening.
    ///
    /// - Parameter earlier: the state of an earlier process, from which the first session continues if it can.
    func run(continuing earlier: CapturedState?, _ started: (Result<Void, WatchError>) -> Void) {
        var earlier = earlier
        /// Whether the sink has yet to learn if the first session continues.
        var mustBegin = earlier != nil
        var isFirst = true
        var isGone = false
        /// Why the next session's changes do not join the last one's; nil while they do.
        var breach: EpochReason?
        while !delivery.isStopped {
            let session: any WatchSession
            let lastEnded = delivery.own.lastEnded
            do {
                session = try open(continuing: earlier)
            } catch {
                if earlier != nil, !error.mayPass, FileIdentity(path: path) != nil {
                    // What was captured earlier may be the obstacle: a damaged log, a page that cannot be decoded.
                    earlier = nil
                    breach = error.reason
                    continue
                }
                if isFirst {
                    started(error.mayPass ? .success(()) : .failure(error))
                    guard error.mayPass else { return }
                }
                isFirst = false
                breach = breach ?? error.reason
                if !isGone { delivery.send(.databaseGone("\(error)")) }
                isGone = true
                delivery.refuseJobs(error)
                delivery.releaseLocalCommits()
                if delivery.waitForStop(atMost: limits.reopenInterval) { break }
                continue
            }
            if isGone { delivery.send(.databaseBack) }
            delivery.reportTables(of: session)
            if mustBegin {
                // That the file could not be opened at first does not matter when continuity is proved.
                delivery.continuity?.began(breach: earlier == nil ? breach : session.breach)
            } else if let breach {
                delivery.send(.epochChanged(breach))
            }
            mustBegin = false
            earlier = nil
            delivery.releaseLocalCommits(upTo: session.opening(lastEnded))
            if isFirst { started(.success(())) }
            isFirst = false
            isGone = false
            breach = Self.follow(session)
            if breach?.code == .overwritten { waitUntilWritten() }
        }
        delivery.refuseJobs(.stopped)
    }

    /// Captures until the session ends; returns why continuity ends with it.
    private static func follow(_ session: any WatchSession) -> EpochReason? {
        defer { session.close() }
        do { return try session.run().reason } catch { return error.reason }
    }

    /// Waits until a program that overwrites the file, such as `cp`, has finished: what is read before belongs to
    /// neither the old database nor the new one.
    private func waitUntilWritten() {
        let deadline = ContinuousClock.now + limits.overwritePatience
        while ContinuousClock.now < deadline, FileStamp(path: path)?.isRecent == true {
            if delivery.waitForStop(atMost: limits.overwritePollInterval) { return }
        }
    }

    private func open(continuing earlier: CapturedState?) throws(WatchError) -> any WatchSession {
        guard let identity = FileIdentity(path: path) else {
            guard let obstacle = FileIdentity.obstacle(at: path) else { throw .noFile(path: path) }
            throw .unreachable(path: path, reason: obstacle)
        }
        let file: DatabaseFile
        do {
            file = try DatabaseFile(path: path, mode: .readWrite, busyTimeout: limits.busyTimeout)
        } catch {
            throw WatchError(opening: path, error)
        }
        let events = FileEvents(databasePath: file.path, wake: wake)
        let mode = try WatchError.wrap { () throws(SQLiteError) in try file.journalMode() }
        let watched = WatchedFile(
            path: path,
            file: file,
            identity: identity,
            events: events,
            delivery: delivery,
            limits: limits
        )
        let session = try watched.session(journalMode: mode, continuing: earlier)
        // Sent only after a successful opening, because a failed one is repeated.
        if file.isReadOnly {
            let consequence =
                mode == "wal"
                ? "only its writers keep its log short"
                : "after a writer died during a commit, it cannot be read until another writer has opened it"
            delivery.send(.notice("\(path) cannot be written by this process: \(consequence)"))
        }
        guard mode != "wal" else { return session }
        delivery.send(
            .notice(
                """
                \(path) has journal mode \(mode): commits of other processes that follow one another quickly are reported \
                as one, and of a file above \(limits.maxShadowBytes >> 20) MB without rows. In WAL mode each is reported by \
                itself; switch with: PRAGMA journal_mode=WAL
                """
            )
        )
        return session
    }
}

/// An opened file to watch, and the destination of its changes.
struct WatchedFile {
    let path: String
    let file: DatabaseFile
    /// The identity of the file that the path named when it was opened.
    let identity: FileIdentity
    let events: FileEvents
    let delivery: CommitDelivery
    let limits: WatcherLimits

    /// A session for WAL mode or for a rollback journal.
    func session(journalMode: String, continuing earlier: CapturedState?) throws(WatchError) -> any WatchSession {
        journalMode == "wal"
            ? try WALSession(self, continuing: earlier) : try RollbackSession(self, continuing: earlier)
    }
}

/// When the watcher's thread last made progress; other threads read it without waiting.
final class Heartbeat: Sendable {
    private let start = ContinuousClock.now
    private let milliseconds = Atomic<Int64>(0)

    /// Called on the watcher's thread.
    func beat() { milliseconds.store(elapsed, ordering: .relaxed) }

    /// The time since the last beat, to the millisecond.
    var age: Duration { .milliseconds(max(0, elapsed - milliseconds.load(ordering: .relaxed))) }

    private var elapsed: Int64 {
        let (seconds, attoseconds) = start.duration(to: .now).components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
