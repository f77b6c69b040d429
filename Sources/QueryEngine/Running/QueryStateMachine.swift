/// The life of one query, from its submission to its only end: queued → running ⇄ paused → committing → ended.
///
/// A pure value: it runs nothing, knows no threads, and receives the time as an argument. Every event is allowed in every
/// state, and those that come too late have no effect. ``Query`` keeps it under a lock and performs its actions.
struct QueryStateMachine: Sendable {
    typealias Instant = ContinuousClock.Instant

    private enum State {
        /// No executor runs it: it waits for its turn, at first, or again when a reader found that it writes.
        case queued
        case running(Interrupt)
        /// It sleeps until its receiver takes rows; the time does not count. The interrupt is nil when the effect of its
        /// statement is already complete.
        case paused(Interrupt?, since: Instant)
        /// It commits, rolls back or cleans up, which must run to its end: a cancel interrupts nothing now. A script may
        /// run its next statement afterwards.
        case committing
        /// Its executor has finished it; the position of its commit is not known yet.
        case awaitingPosition(QueryResult, CommitProgress?)
        case ended
    }

    /// How a cancel interrupts SQLite.
    private struct Interrupt {
        /// A query that leaves a cancel to its progress handler at first; nil when a cancel interrupts at once.
        var delay: Duration?
        /// When to interrupt a cancelled query.
        var isDueAt: Instant?
        /// The connection gets no more memory.
        var isStarved = false
        var isRead: Bool { delay != nil }
    }

    /// How long a cancelled read may be silent before it is ended for its client. Only a function that works on a very
    /// large value keeps SQLite silent for so long.
    static let maxSilence = Duration.milliseconds(250)
    /// How long a cancelled write may continue before SQLite gets no more memory for it: SQLite compiles statements,
    /// and does other work that allocates, without checking for interrupts.
    static let maxDisregard = Duration.seconds(1)
    /// A paused query has no deadline, and gets one when it continues: how long until the deadline loop looks again.
    static let pauseCheck = Duration.milliseconds(500)
    /// How long the sink of a query may hold back its first messages, to send them with the next ones.
    static let announceDelay = Duration.milliseconds(50)

    private var state = State.queued
    private var cancel: (reason: CancelReason, at: Instant)?
    private var deadline: Instant
    /// When its sink sends what it holds back of a query that is still running; nil when it has.
    private var announcesAt: Instant?

    /// - Parameter announcesAt: when ``TickAction/announce`` is due, if the query runs by then.
    init(deadline: Instant, announcesAt: Instant? = nil) {
        self.deadline = deadline
        self.announcesAt = announcesAt
    }

    /// The reason of the first cancel.
    var cancelReason: CancelReason? { cancel?.reason }

    var hasEnded: Bool { if case .ended = state { true } else { false } }

    /// Whether a cancel that has arrived ends the query where it is.
    var mustStop: Bool {
        guard cancel != nil else { return false }
        switch state {
        case .queued, .running, .paused(.some, _): return true
        case .paused(nil, _), .committing, .awaitingPosition, .ended: return false
        }
    }

    // MARK: Events on the query's executor

    enum AttachAction: Hashable, Sendable {
        case run
        case stop(CancelReason)
        /// It has ended already.
        case none
    }

    /// The executor begins to run it, or continues with the next statement of a script: a cancel interrupts its
    /// connection from now on.
    ///
    /// - Parameter interruptDelay: how long a cancel leaves a read to its progress handler, which usually reacts sooner; nil
    ///   for a write, which is interrupted at once.
    mutating func attach(interruptDelay: Duration?) -> AttachAction {
        switch state {
        case .queued, .running, .paused, .committing:
            if let cancel { return .stop(cancel.reason) }
            state = .running(Interrupt(delay: interruptDelay))
            return .run
        case .awaitingPosition, .ended: return .none
        }
    }

    /// No cancel may interrupt its connection any more: before a commit, a rollback and the executor's next query.
    ///
    /// - Returns: the reason of an earlier cancel.
    @discardableResult
    mutating func detach() -> CancelReason? {
        switch state {
        case .running: state = .committing
        case .paused(_, let since): state = .paused(nil, since: since)
        case .queued, .committing, .awaitingPosition, .ended: break
        }
        return cancel?.reason
    }

    /// Its receiver takes no rows.
    mutating func pause(at now: Instant) {
        switch state {
        case .running(let interrupt): state = .paused(interrupt, since: now)
        case .committing: state = .paused(nil, since: now)
        case .queued, .paused, .awaitingPosition, .ended: break
        }
    }

    /// Its receiver takes rows again, or it is not waited for any longer: the deadline moves by the length of the pause.
    mutating func resume(at now: Instant) {
        guard case .paused(let interrupt, let since) = state else { return }
        deadline += since.duration(to: now)
        state = interrupt.map { .running($0) } ?? .committing
    }

    /// A reader found that it writes: it waits for the writer, unless it has been cancelled meanwhile.
    mutating func requeue() -> AttachAction {
        switch state {
        case .queued, .running, .paused, .committing:
            if let cancel { return .stop(cancel.reason) }
            state = .queued
            return .run
        case .awaitingPosition, .ended: return .none
        }
    }

    /// It has run.
    ///
    /// - Parameter commit: set when it committed: it ends once the position of its commit is known.
    /// - Returns: the result to report now, if any.
    mutating func finish(_ result: QueryResult, awaiting commit: AwaitedCommit? = nil) -> QueryResult? {
        switch state {
        case .queued, .running, .paused, .committing: break
        case .awaitingPosition, .ended: return nil
        }
        if let commit {
            state = .awaitingPosition(result, commit.progress)
            return nil
        }
        state = .ended
        return result
    }

    /// A commit whose position is not known.
    struct AwaitedCommit {
        /// Nil for a query that is too short for reports.
        var progress: CommitProgress?
    }

    /// A cancelled read has noticed the cancel: it ends for its client, before SQLite cleans up. Deleting the temporary
    /// file of a long sort can take longer than the query.
    ///
    /// - Returns: the result to report now, if any.
    mutating func endCancelled(rowCount: Int) -> QueryResult? {
        guard mustStop, let reason = cancel?.reason else { return nil }
        state = .ended
        return .cancelled(reason, rowCount: rowCount)
    }

    // MARK: Events from other threads

    enum CancelAction: Hashable, Sendable {
        case none
        /// Its executor may sleep: wake it.
        case wake
        /// Interrupt its connection, and wake its executor.
        case interrupt
    }

    /// Ends it as soon as possible. The first reason counts.
    mutating func cancel(_ reason: CancelReason, at now: Instant) -> CancelAction {
        if cancel != nil { return .none }
        switch state {
        case .awaitingPosition, .ended: return .none
        case .queued, .committing, .paused(nil, _):
            cancel = (reason, now)
            return .wake
        case .running(var interrupt):
            cancel = (reason, now)
            guard let delay = interrupt.delay else { return .interrupt }
            interrupt.isDueAt = now + delay
            state = .running(interrupt)
            return .wake
        case .paused(var interrupt?, let since):
            cancel = (reason, now)
            guard let delay = interrupt.delay else { return .interrupt }
            interrupt.isDueAt = now + delay
            state = .paused(interrupt, since: since)
            return .wake
        }
    }

    /// Its last commit is durable and published, or nothing more will be known about it.
    ///
    /// - Returns: the result to report now, if any.
    mutating func published(_ commit: PublishedCommit) -> QueryResult? {
        guard case .awaitingPosition(let result, _) = state else { return nil }
        state = .ended
        switch result {
        case .completed(var outcome):
            if let failure = commit.syncFailure {
                return .failed(QueryFailure(unsynced: outcome, at: commit.position, failure))
            }
            outcome.receipt = commit.position
            return .completed(outcome)
        case .failed(let failure): return .failed(failure.noting(commit))
        case .cancelled(let reason, let rowCount, let inTransaction, _):
            return .cancelled(reason, rowCount: rowCount, inTransaction: inTransaction, receipt: commit.position)
        }
    }

    /// It never ran, or its executor does not react to a cancel.
    ///
    /// - Returns: the result to report now, if any.
    mutating func abort(_ result: QueryResult) -> QueryResult? {
        switch state {
        case .queued, .running, .paused, .committing:
            state = .ended
            return result
        case .awaitingPosition, .ended: return nil
        }
    }

    // MARK: Time

    enum TickAction: Hashable, Sendable {
        case none
        /// Its time is over: cancel it.
        case timeOut
        /// The connection of a cancelled query has not stopped by itself: interrupt it.
        case interrupt
        /// A cancelled write does not react to the interrupt: refuse it memory.
        case starve
        /// A cancelled read does not react to the interrupt: abort it, and refuse it memory.
        case abandon
        case report(QueryProgress)
        /// It has run for a while: its sink sends what it holds back.
        case announce
    }

    /// Enforces the time limits.
    ///
    /// - Returns: what to do now, and when to call again, if this is not called for another reason before.
    mutating func tick(at now: Instant) -> (action: TickAction, next: Instant?) {
        guard let announcesAt else { return tickLimits(at: now) }
        switch state {
        case .ended: return (.none, nil)
        case .queued:
            let (action, next) = tickLimits(at: now)
            return (action, next.map { min($0, max(announcesAt, now + Self.announceDelay)) })
        case .running, .paused, .committing, .awaitingPosition:
            guard now >= announcesAt else {
                let (action, next) = tickLimits(at: now)
                return (action, min(next ?? announcesAt, announcesAt))
            }
            self.announcesAt = nil
            return (.announce, now)
        }
    }

    private mutating func tickLimits(at now: Instant) -> (TickAction, Instant?) {
        switch state {
        case .queued:
            return cancel == nil ? tickDeadline(at: now) : (.none, nil)
        case .running(let interrupt):
            guard let cancel else { return tickDeadline(at: now) }
            return tickCancelled(interrupt, since: cancel.at, at: now)
        case .paused:
            return (.none, cancel == nil ? now + Self.pauseCheck : nil)
        case .committing:
            return cancel == nil ? tickDeadline(at: now) : (.none, nil)
        case .awaitingPosition(let result, var progress):
            let report = progress?.report(at: now)
            state = .awaitingPosition(result, progress)
            return (report.map { .report($0) } ?? .none, progress?.reportsAt)
        case .ended:
            return (.none, nil)
        }
    }

    private func tickDeadline(at now: Instant) -> (TickAction, Instant?) {
        now < deadline ? (.none, deadline) : (.timeOut, now)
    }

    private mutating func tickCancelled(
        _ interrupt: Interrupt,
        since cancelledAt: Instant,
        at now: Instant
    ) -> (TickAction, Instant?) {
        var interrupt = interrupt
        if let isDueAt = interrupt.isDueAt {
            if now < isDueAt { return (.none, isDueAt) }
            interrupt.isDueAt = nil
            state = .running(interrupt)
            return (.interrupt, cancelledAt + Self.maxSilence)
        }
        let limit = cancelledAt + (interrupt.isRead ? Self.maxSilence : Self.maxDisregard)
        if now < limit { return (.none, limit) }
        if interrupt.isRead { return (.abandon, now + Self.maxSilence) }
        if interrupt.isStarved { return (.none, nil) }
        interrupt.isStarved = true
        state = .running(interrupt)
        return (.starve, nil)
    }
}

/// How a query ended. Its sink receives it exactly once.
enum QueryResult: Sendable {
    case completed(QueryOutcome)
    case failed(QueryFailure)
    case cancelled(CancelReason, rowCount: Int, inTransaction: Bool? = nil, receipt: String? = nil)
}

/// The progress between a query's commit and the point when its position is known.
struct CommitProgress: Sendable {
    /// Shorter queries end before a report is useful.
    static let minDuration = Duration.milliseconds(50)

    /// The last progress of the query's executor.
    private let last: QueryProgress
    private let beganAt: ContinuousClock.Instant
    private let interval: Duration
    /// The expected time of the rest, estimated from the query's time so far.
    private let expected: Duration?
    private(set) var reportsAt: ContinuousClock.Instant

    /// - Parameter duration: how long the query has run.
    init(_ last: QueryProgress, after duration: Duration, interval: Duration, at now: ContinuousClock.Instant) {
        self.last = last
        self.interval = interval
        beganAt = now
        reportsAt = now + interval
        expected = last.fraction.flatMap { $0 > 0 ? duration * ((1 - $0) / $0) : nil }
    }

    /// The report that is due, if any.
    mutating func report(at now: ContinuousClock.Instant) -> QueryProgress? {
        guard now >= reportsAt else { return nil }
        reportsAt = now + interval
        let waited = beganAt.duration(to: now)
        var progress = last
        progress.message = "reading the commit from the log"
        progress.elapsed += waited
        if let fraction = last.fraction, let expected, expected > .zero {
            progress.fraction = max(fraction, min(fraction + (1 - fraction) * (waited / expected), 0.99))
        }
        return progress
    }
}
