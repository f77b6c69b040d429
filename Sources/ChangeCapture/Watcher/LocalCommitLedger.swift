package import SQLiteConnection

/// Records which commits are this process's own, so that the watcher reports each commit once and with the right
/// origin, and syncs those of the log before it reports them.
///
/// How the watcher recognizes an own commit: the writer announces it before anything is published, and then reports the
/// outcome, with the number of frames from `sqlite3_wal_hook`. The watcher reads this ledger only *after* it has read
/// which frames are published. So any own commit among them has at least begun by then, and the watcher waits for its
/// end. The log cannot have been restarted in between: a restart needs every frame to have been copied into the
/// database file, and the watcher's pin prevents that for frames it has not captured.
///
/// A rollback journal keeps no trace of a commit, so there the writer also reports its ``CommitPlace``.
///
/// The writer's side is for one writer at a time, on its thread.
package final class LocalCommitLedger: Sendable {
    /// A commit that succeeded.
    package struct Commit: Sendable {
        /// The caller's identifier of the commit, which the delivered transaction carries; ascending.
        package var token: UInt64
        /// The number of frames in the log after it, from `sqlite3_wal_hook`; nil outside of WAL mode.
        package var frameCount: UInt32?
        /// Its place in a file with a rollback journal; nil in WAL mode, and when it could not be determined.
        package var place: CommitPlace?
        /// Its changes according to the hooks; used only outside of WAL mode.
        ///
        /// In WAL mode the log is the source of all commits, including this process's: one code path is better than
        /// two. The log shows what hooks do not report, such as rowids that `VACUUM` renumbers, and the page map must
        /// follow every commit anyway. The hooks remain for other journal modes.
        package var changes: ChangeSet?
        /// Why the commit may not survive a loss of power, although the log was synced.
        package fileprivate(set) var syncFailure: SQLiteError?
        /// The log was synced after it, or SQLite did so.
        fileprivate var isSynced: Bool

        package init(token: UInt64, frameCount: UInt32?, place: CommitPlace? = nil, changes: ChangeSet?) {
            self.token = token
            self.frameCount = frameCount
            self.place = place
            self.changes = changes
            isSynced = frameCount == nil
        }
    }

    private struct State {
        /// Commits that began, and those of them that ended.
        var begun: UInt64 = 0
        var ended: UInt64 = 0
        var announced: [Commit] = []
        var lastEnded: UInt64 = 0
        var lastDelivered: UInt64 = 0
        var isClosed = false
        var group = CommitGroup()
        /// The watcher sleeps until the group ends: see ``awaitGroupEnd()``.
        var isGroupAwaited = false

        /// Whether a commit is running, or the writer goes on to the next one.
        var isBusy: Bool { begun > ended || group.isOpen }
    }

    private let state = Monitor(State())
    private let wake: WakeSignal
    /// The watcher's thread sleeps here while the writer commits a group.
    private let groupEnd = Parker()
    let log: LogSync

    init(wake: WakeSignal, log: LogSync) {
        self.wake = wake
        self.log = log
    }

    // MARK: The writer's side

    /// Call it in the commit hook, for every transaction that may write; and before `VACUUM`, which calls no hook.
    package func willCommit() {
        state.update { $0.begun += 1 }
    }

    /// Call it when the transaction has ended without writing, or failed and was rolled back. Without an open
    /// ``willCommit()`` it does nothing.
    package func didNotCommit() {
        let isAwaited = state.update { state in
            state.ended = state.begun
            return state.isGroupAwaited && !state.isBusy
        }
        if isAwaited { groupEnd.wake() }
    }

    /// Call it when the transaction is committed: `step` has returned and the connection is in autocommit mode again. A commit
    /// to a rollback journal is durable then.
    ///
    /// - Parameter isFollowed: whether the writer has more to run: then the watcher may wait for the commits that follow at once,
    ///   and captures, syncs and reports them together. ``groupEnded()`` must follow.
    package func didCommit(_ commit: Commit, isFollowed: Bool = false) {
        let now = ContinuousClock.now
        let (mustSignal, isAwaited) = state.update { state in
            state.ended = state.begun
            state.announced.append(commit)
            state.lastEnded = commit.token
            let mustSignal = state.group.add(isFollowed: isFollowed, at: now)
            return (mustSignal && !state.isGroupAwaited, state.isGroupAwaited && !state.isBusy)
        }
        if isAwaited { groupEnd.wake() }
        if mustSignal { wake.signal() }
    }

    /// Call it when the writer has nothing more to run.
    package func groupEnded() {
        let (wasOpen, isAwaited) = state.withLock { state in
            let wasOpen = state.group.isOpen
            state.group.end()
            return (wasOpen, state.isGroupAwaited && !state.isBusy)
        }
        if isAwaited { groupEnd.wake() } else if wasOpen { wake.signal() }
    }

    /// Waits until the transaction with this token, and with it everything before, was delivered to the sink; false
    /// when the watcher stopped or did not reach it in time.
    package func waitUntilDelivered(_ token: UInt64, atMost timeout: Duration) -> Bool {
        state.wait(atMost: timeout) { state in
            state.lastDelivered >= token ? true : state.isClosed ? false : nil
        } ?? false
    }

    /// Syncs the commits that no watcher will deliver any more: when it has stopped.
    ///
    /// - Returns: why they may not survive a loss of power; nil when they will.
    package func syncRest() -> SQLiteError? {
        synced(state.withLock { $0.announced }).lazy.compactMap(\.syncFailure).first
    }

    // MARK: The watcher's side

    /// Waits while the writer commits one transaction after the other, for at most ``CommitGroup/maxTime``: reading several
    /// commits costs the watcher little more than reading one.
    func awaitGroupEnd() {
        let now = ContinuousClock.now
        let deadline = state.withLock { state -> ContinuousClock.Instant? in
            guard state.isBusy, !state.isClosed else { return nil }
            let deadline = state.group.deadline ?? now + CommitGroup.maxTime
            guard deadline > now else { return nil }
            state.isGroupAwaited = true
            return deadline
        }
        guard let deadline else { return }
        // A wake that came too late for the last wait ends this one early, which does no harm.
        groupEnd.sleep(atMost: now.duration(to: deadline))
        state.withLock { $0.isGroupAwaited = false }
    }

    /// Every own commit that has ended, after waiting for a running one, and after one sync for all of them. Nil when the
    /// running one does not end in time.
    func announced(atMost timeout: Duration) -> [Commit]? {
        var begun: UInt64?
        let commits = state.wait(atMost: timeout) { state -> [Commit]? in
            // Does not wait for commits that begin meanwhile: with a writer without pauses the wait would never end.
            let awaited = begun ?? state.begun
            begun = awaited
            return state.ended < awaited && !state.isClosed ? nil : state.announced
        }
        return commits.map(synced)
    }

    private func synced(_ commits: [Commit]) -> [Commit] {
        guard commits.contains(where: { !$0.isSynced }) else { return commits }
        let failure = log.sync()
        func settle(_ commit: inout Commit) {
            if commit.isSynced { return }
            commit.isSynced = true
            commit.syncFailure = failure
        }
        var commits = commits
        for index in commits.indices { settle(&commits[index]) }
        let last = commits.last?.token ?? 0
        state.withLock { state in
            for index in state.announced.indices where state.announced[index].token <= last {
                settle(&state.announced[index])
            }
        }
        return commits
    }

    /// Whether an announced commit is not delivered yet.
    var hasAnnounced: Bool { state.withLock { !$0.announced.isEmpty } }

    /// The token of the last commit that has ended.
    var lastEnded: UInt64 { state.withLock { $0.lastEnded } }

    /// Removes the commits up to this token and wakes their writer.
    func delivered(_ token: UInt64) {
        state.update { state in
            state.announced.removeAll { $0.token <= token }
            state.lastDelivered = max(state.lastDelivered, token)
        }
    }

    /// Nothing more is delivered: wakes the waiting writers.
    func close() {
        state.update { $0.isClosed = true }
    }
}

/// Commits of the writer that follow one another at once, and that the watcher captures together.
struct CommitGroup: Equatable, Sendable {
    /// How long the first of them waits for the others.
    static let maxTime: Duration = .milliseconds(1)
    static let maxCommits = 64

    private var openedAt: ContinuousClock.Instant?
    private var count = 0

    var isOpen: Bool { openedAt != nil }

    /// When its commits are captured, whatever follows.
    var deadline: ContinuousClock.Instant? { openedAt.map { $0 + Self.maxTime } }

    /// - Returns: whether the commit begins or ends a group, or is alone, so that the watcher must be notified.
    mutating func add(isFollowed: Bool, at now: ContinuousClock.Instant) -> Bool {
        count += 1
        guard let deadline else {
            if isFollowed { openedAt = now } else { end() }
            return true
        }
        guard !isFollowed || count >= Self.maxCommits || now >= deadline else { return false }
        end()
        return true
    }

    mutating func end() { self = CommitGroup() }
}
