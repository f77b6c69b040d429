import SQLiteConnection

/// Delivers captured commits to the sink, each commit once and with the right origin, and passes jobs from other
/// threads to the watcher's thread.
final class CommitDelivery: Sendable {
    /// Work for the watcher's thread at exactly the position reached.
    typealias Job = @Sendable (_ cursor: Result<SnapshotCursor, WatchError>) -> Void
    /// Work that needs no SQL: receives the state reached, nil without a write-ahead log.
    typealias MarkJob = @Sendable (_ mark: Result<CommitMark?, WatchError>) -> Void

    private struct Control {
        var isStopped = false
        var jobs: [Job] = []
        var markJobs: [MarkJob] = []
        var reads: [ReadRequest] = []
        var level = CaptureLevel.values
    }

    let own: LocalCommitLedger
    let hold: LogHold
    let heartbeat = Heartbeat()
    private let sink: any DatabaseEventSink
    /// The sink, if it reads the database as of each commit.
    private let snapshotSink: (any SnapshotSink)?
    private let wake: WakeSignal
    private let control = Monitor(Control())
    private let limits: WatcherLimits

    init(sink: any DatabaseEventSink, own: LocalCommitLedger, hold: LogHold, wake: WakeSignal, limits: WatcherLimits) {
        self.sink = sink
        snapshotSink = sink as? any SnapshotSink
        let continuity = sink as? any ContinuitySink
        self.continuity = continuity?.keepsState == true ? continuity : nil
        self.own = own
        self.hold = hold
        self.wake = wake
        self.limits = limits
    }

    // MARK: From any thread

    var isStopped: Bool { control.withLock { $0.isStopped } }

    func stop() {
        control.update { $0.isStopped = true }
        wake.signal()
    }

    /// The detail that is captured of each row from the next commit on.
    var captureLevel: CaptureLevel {
        get { control.withLock { $0.level } }
        set { control.withLock { $0.level = newValue } }
    }

    /// Enqueues `job` to run on the watcher's thread between two transactions. False when the watcher has stopped.
    func enqueue(_ job: @escaping Job) -> Bool {
        let isAccepted = control.update { control in
            if control.isStopped { return false }
            control.jobs.append(job)
            return true
        }
        if isAccepted { wake.signal() }
        return isAccepted
    }

    /// Enqueues `job` to run on the watcher's thread between two transactions. False when the watcher has stopped.
    func enqueue(mark job: @escaping MarkJob) -> Bool {
        let isAccepted = control.update { control in
            if control.isStopped { return false }
            control.markJobs.append(job)
            return true
        }
        if isAccepted { wake.signal() }
        return isAccepted
    }

    /// Enqueues a request that the watcher's thread answers. False when the watcher has stopped.
    func enqueue(_ request: ReadRequest) -> Bool {
        let isAccepted = control.update { control in
            if control.isStopped { return false }
            control.reads.append(request)
            return true
        }
        if isAccepted { wake.signal() }
        return isAccepted
    }

    /// Waits for at most `timeout` until the watcher is stopped; true when it is.
    func waitForStop(atMost timeout: Duration) -> Bool {
        control.wait(atMost: timeout) { $0.isStopped ? true : nil } ?? false
    }

    // MARK: On the watcher's thread

    /// The sink, if it keeps the captured state for a later process.
    let continuity: (any ContinuitySink)?

    func send(_ event: DatabaseEvent) {
        heartbeat.beat()
        sink.receive(event)
    }

    /// Notifies a sink that follows the schema of the tables at the beginning of a session.
    func reportTables(of session: any WatchSession) { (sink as? any SchemaSink)?.opened(session.tables) }

    func runJobs(at position: some PageReader) {
        heartbeat.beat()
        for job in takeMarkJobs() { job(.success((position as? SnapshotReader).map(CommitMark.init))) }
        guard let jobs = takeJobs() else { return }
        let cursor = WatchError.result { () throws(SQLiteError) in try SnapshotCursor(position) }
        for job in jobs { job(cursor) }
    }

    func refuseJobs(_ error: WatchError) {
        heartbeat.beat()
        for job in takeMarkJobs() { job(.failure(error)) }
        for job in takeJobs() ?? [] { job(.failure(error)) }
        for request in takeReads() { request.answer(.failure(error)) }
    }

    func takeReads() -> [ReadRequest] {
        control.withLock { control in
            if control.reads.isEmpty { return [] }
            defer { control.reads = [] }
            return control.reads
        }
    }

    /// Puts requests back, whether the watcher has been stopped or not: they are always answered.
    func putBack(_ requests: [ReadRequest]) {
        if !requests.isEmpty { control.update { $0.reads = requests + $0.reads } }
    }

    private func takeMarkJobs() -> [MarkJob] {
        control.withLock { control in
            if control.markJobs.isEmpty { return [] }
            defer { control.markJobs = [] }
            return control.markJobs
        }
    }

    private func takeJobs() -> [Job]? {
        control.withLock { control in
            if control.jobs.isEmpty { return nil }
            defer { control.jobs = [] }
            return control.jobs
        }
    }

    /// The commits of this process's writer that have ended, after waiting for a running one.
    func announcedCommits() -> [LocalCommitLedger.Commit] {
        let patience = limits.localCommitPatience
        if let commits = announced(atMost: patience) { return commits }
        send(.notice("a commit of this process did not end within \(patience); it may be reported as external"))
        _ = own.log.sync()
        reportSyncFailure()
        return []
    }

    private func announced(atMost patience: Duration) -> [LocalCommitLedger.Commit]? {
        let commits = own.announced(atMost: patience)
        reportSyncFailure()
        return commits
    }

    private func reportSyncFailure() {
        guard let failure = own.log.takeNewFailure() else { return }
        send(
            .notice(
                "commits may not survive a loss of power until a checkpoint of the write-ahead log succeeds: \(failure.message)"
            )
        )
    }

    /// All commits that were captured together have been delivered.
    func endBatch() { sink.endOfBatch() }

    /// Delivers one commit; `commit` when it is this process's own.
    ///
    /// - Parameter isInBatch: whether ``endBatch()`` follows.
    func deliver(
        _ changes: ChangeSet,
        own commit: LocalCommitLedger.Commit?,
        at position: some PageReader,
        logMark: LogMark? = nil,
        isInBatch: Bool = false
    ) {
        heartbeat.beat()
        if commit == nil, changes.isEmpty { return }
        var changes = changes
        changes.origin = commit == nil ? .external : .service
        var transaction = CapturedTransaction(changes: changes, token: commit?.token)
        transaction.syncFailure = commit?.syncFailure
        transaction.mark = (position as? SnapshotReader).map(CommitMark.init)
        transaction.logMark = logMark
        transaction.isInBatch = isInBatch
        if let snapshotSink, let cursor = try? SnapshotCursor(position) {
            snapshotSink.receive(transaction, at: cursor)
        } else {
            sink.receive(.transaction(transaction))
        }
        if let commit { own.delivered(commit.token) }
    }

    /// Delivers the changes of the commits of a span, which cannot be separated.
    ///
    /// They are this process's own when its writer made every commit of the span. When another process made some of them, all
    /// changes are reported as external, and the writer's own commits follow without changes: nothing is lost or reported
    /// twice, and no commit gets another author than its own.
    func deliverMerged(_ changes: ChangeSet, of span: CommitSpan, at position: some PageReader) {
        let commits = commits(upTo: span, announcedCommits())
        let own = commits.filter { $0.relation == .within }.map(\.commit)
        guard let last = own.last, own.count == span.count else {
            deliver(changes, own: nil, at: position)
            for (commit, _) in commits { deliverOwn(commit, changes: nil) }
            return
        }
        let areSeparable = own.count > 1 && own.allSatisfy { $0.changes != nil }
        for (commit, relation) in commits {
            if areSeparable, relation == .within {
                deliverOwn(commit, changes: commit.changes)
            } else if commit.token == last.token {
                deliver(changes, own: commit, at: position)
            } else {
                deliverOwn(commit, changes: nil)
            }
        }
    }

    /// Delivers the commits of a span of which only the number is known, and the changes that this process's writer reported.
    ///
    /// - Parameter changes: that any row may have changed, after changes of the schema.
    func deliverUnknown(_ changes: ChangeSet, of span: CommitSpan) {
        let commits = commits(upTo: span, announcedCommits())
        let own = commits.filter { $0.relation == .within }.map(\.commit)
        let areAllOwn = own.count == span.count && own.allSatisfy { $0.changes != nil }
        // Before the others, because a reader takes the rows of the tables that may have changed from the file, which has the
        // later ones. But the rows of a table follow its schema.
        let areFirst = areAllOwn || !changes.changesSchema
        if !areFirst { send(.transaction(CapturedTransaction(changes: changes))) }
        for (commit, relation) in commits {
            deliverOwn(commit, changes: areFirst && relation == .within ? commit.changes : nil)
        }
        if areFirst, !areAllOwn { send(.transaction(CapturedTransaction(changes: changes))) }
    }

    /// The announced commits that the second state of a span contains, in order, with their places.
    private func commits(
        upTo span: CommitSpan,
        _ announced: [LocalCommitLedger.Commit]
    ) -> [(commit: LocalCommitLedger.Commit, relation: CommitSpan.Relation)] {
        Array(
            announced.lazy.map { (commit: $0, relation: span.relation(of: $0)) }.prefix { $0.relation != .later }
        )
    }

    /// Delivers own commits that are part of what was already reported: those that left no frame in the log.
    ///
    /// Call it when every published commit is captured; `isStillCaptured` is called after the ledger was read.
    func deliverLateCommits(isStillCaptured: () -> Bool) {
        guard own.hasAnnounced, let commits = announced(atMost: .zero), isStillCaptured() else { return }
        for commit in commits { deliverOwn(commit, changes: nil) }
    }

    /// Delivers own commits that are part of what was already reported, up to a span of equal states: those that ended too
    /// late to be reported as own, and those whose place is unknown.
    func deliverLateCommits(upTo span: CommitSpan) {
        guard own.hasAnnounced, let announced = announced(atMost: .zero) else { return }
        for (commit, _) in commits(upTo: span, announced) { deliverOwn(commit, changes: nil) }
    }

    /// Called at the beginning of a session: earlier announcements are part of the state that it starts from.
    ///
    /// - Parameter span: of a file with a rollback journal, from the state that the session starts from to the same state.
    func releaseLocalCommits(upTo span: CommitSpan? = nil) {
        let announced = announced(atMost: .zero) ?? []
        let released = span.map { commits(upTo: $0, announced).map(\.commit) } ?? announced
        for commit in released { deliverOwn(commit, changes: commit.changes) }
    }

    private func deliverOwn(_ commit: LocalCommitLedger.Commit, changes: ChangeSet?) {
        var changes = changes ?? ChangeSet(origin: .service, events: [])
        changes.origin = .service
        var transaction = CapturedTransaction(changes: changes, token: commit.token)
        transaction.syncFailure = commit.syncFailure
        send(.transaction(transaction))
        own.delivered(commit.token)
    }
}

/// A sink that knows the schema as of each transaction.
package protocol SchemaSink: DatabaseEventSink {
    /// The file was opened, for the first time or again, with these tables, which clients can see. Called on the watcher's
    /// thread, before the first transaction and before an ``DatabaseEvent/epochChanged(_:)``; later changes of the schema are in
    /// the transactions.
    func opened(_ tables: [TableDescription])
}

/// A sink that reads the database as of each commit.
package protocol SnapshotSink: DatabaseEventSink {
    /// Called in place of ``DatabaseEventSink/receive(_:)`` for a transaction found in the log. The cursor is valid within
    /// the call.
    func receive(_ transaction: CapturedTransaction, at snapshot: SnapshotCursor)
}
