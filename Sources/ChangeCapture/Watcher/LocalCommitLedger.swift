import SQLiteConnection

/// Tells the watcher which commits are this process's own, so that each commit is reported once and by the right name.
///
/// How a commit is known to be ours: the writer says when it begins to commit, before anything is published, and says how
/// that ended, with the number of frames that `sqlite3_wal_hook` reported. The watcher looks at this record only *after*
/// it has read which frames are published. So any commit of ours among them has at least begun by then, and the watcher
/// waits for the end of it. The log cannot have been restarted in between: its restart needs every frame to have been
/// copied into the database file, and the watcher's pin prevents that for frames it has not captured.
///
/// The writer's side is for one writer at a time, on its thread.
package final class LocalCommitLedger: Sendable {
    /// A commit that succeeded.
    package struct Commit: Sendable {
        /// The caller's own name for it, which comes back with the transaction; ascending.
        package var token: UInt64
        /// The number of frames in the log after it, from `sqlite3_wal_hook`; nil outside of WAL mode.
        package var frameCount: UInt32?
        /// What it changed according to the hooks; used outside of WAL mode alone.
        ///
        /// In WAL mode the log is the source for everybody's commits, ours included: one road is better than two. It sees
        /// what hooks do not, such as the rowids that `VACUUM` gives anew, and the page map has to follow every commit
        /// anyway. The hooks remain for other journal modes.
        package var changes: ChangeSet?

        package init(token: UInt64, frameCount: UInt32?, changes: ChangeSet?) {
            self.token = token
            self.frameCount = frameCount
            self.changes = changes
        }
    }

    private struct State {
        /// Commits that began, and those of them that are over.
        var begun: UInt64 = 0
        var ended: UInt64 = 0
        var announced: [Commit] = []
        var lastDelivered: UInt64 = 0
        var isClosed = false
    }

    private let state = Monitor(State())
    private let wake: WakeSignal

    init(wake: WakeSignal) { self.wake = wake }

    // MARK: The writer's side

    /// Call in the commit hook, for every transaction that may write; and before `VACUUM`, which calls no hook.
    package func willCommit() {
        state.update { $0.begun += 1 }
    }

    /// Call when the transaction is over and wrote nothing, or failed and was rolled back. Without an open
    /// ``willCommit()`` it does nothing.
    package func didNotCommit() {
        state.update { $0.ended = $0.begun }
    }

    /// Call when the transaction is over and durable: `step` has returned and the connection is in autocommit mode again.
    package func didCommit(_ commit: Commit) {
        state.update {
            $0.ended = $0.begun
            $0.announced.append(commit)
        }
        wake.signal()
    }

    /// Waits until the transaction with this token, and with it everything before, was delivered to the sink; false when the
    /// watcher stopped or did not get that far in time.
    package func waitUntilDelivered(_ token: UInt64, atMost timeout: Duration) -> Bool {
        state.wait(atMost: timeout) { state in
            state.lastDelivered >= token ? true : state.isClosed ? false : nil
        } ?? false
    }

    // MARK: The watcher's side

    /// Every commit of ours that has ended, after waiting for one that is under way. Nil when that one does not end in time.
    func announced(atMost timeout: Duration) -> [Commit]? {
        var begun: UInt64?
        return state.wait(atMost: timeout) { state in
            // Not for those that begin meanwhile: a writer without pauses would be waited for without end.
            let awaited = begun ?? state.begun
            begun = awaited
            return state.ended < awaited && !state.isClosed ? nil : state.announced
        }
    }

    /// Whether a commit was announced that is not delivered yet.
    var hasAnnounced: Bool { state.withLock { !$0.announced.isEmpty } }

    /// Takes the commits up to this token from the record and lets their writer go on.
    func delivered(_ token: UInt64) {
        state.update { state in
            state.announced.removeAll { $0.token <= token }
            state.lastDelivered = max(state.lastDelivered, token)
        }
    }

    /// No more is delivered: writers that wait are let go.
    func close() {
        state.update { $0.isClosed = true }
    }
}
