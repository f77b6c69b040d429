import SQLiteConnection
import Synchronization

/// The state of one query that all threads share: the request, its sink, and the way to end it.
final class QueryControl: Sendable {
    let id: UInt64
    let request: SQLRequest
    let client: ClientKey
    let sink: any QuerySink
    let outline: ScriptOutline
    let submittedAt: ContinuousClock.Instant
    let turn = SinkOwnership()
    /// Rows delivered so far.
    let rowCount = Atomic<Int>(0)
    /// The query's thread sleeps here while it waits for its receiver or for a lock.
    let parker = Parker()

    private struct State {
        var reason: CancelReason?
        var deadline: ContinuousClock.Instant?
        /// The connection that runs the query, while an interrupt can only affect this query.
        var interrupt: InterruptHandle?
        /// The budget of that connection's thread, while the query may be ended.
        var resources: ResourceBudget?
        /// How long a cancel waits before it interrupts the connection; nil for no wait.
        var patience: Duration?
        var interruptsAt: ContinuousClock.Instant?
        var cancelledAt: ContinuousClock.Instant?
    }

    /// How long a cancelled read may be silent before it is ended for its client. Only a function that works on a very
    /// large value keeps SQLite silent for so long.
    private static let maxSilence = Duration.milliseconds(250)
    /// How long a cancelled query may continue before SQLite gets no more memory for it: SQLite compiles statements,
    /// and does other work that allocates, without checking for interrupts.
    private static let maxDisregard = Duration.seconds(1)

    private let state: Mutex<State>
    /// Set once, with the reason; read without the lock between rows and within progress callbacks.
    private let cancelled = Atomic<Bool>(false)

    init(
        id: UInt64,
        request: SQLRequest,
        client: ClientKey,
        sink: any QuerySink,
        outline: ScriptOutline,
        timeout: Duration
    ) {
        self.id = id
        self.request = request
        self.client = client
        self.sink = sink
        self.outline = outline
        submittedAt = .now
        state = Mutex(State(deadline: submittedAt + timeout))
    }

    /// The scheduler's view of the query.
    var ticket: Ticket {
        // A reader enforces a read-only policy completely, without the writer.
        let mayWrite = request.policy.level > .readOnly
        return Ticket(
            id: id,
            client: client,
            identity: request.identity,
            access: outline.surelyWrites && mayWrite ? .writer : .reader,
            controlsTransactions: outline.controlsTransactions && mayWrite,
            begins: outline.begins,
            ends: outline.ends,
            mayWrite: !outline.surelyReads && mayWrite,
            enqueuedAt: submittedAt
        )
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    var cancelReason: CancelReason? { state.withLock { $0.reason } }
    var elapsed: Duration { submittedAt.duration(to: .now) }

    // MARK: Ending the query, from any thread

    /// Ends the query as soon as possible; the first reason counts. Never blocks.
    func cancel(_ reason: CancelReason) {
        state.withLock { state in
            guard state.reason == nil else { return }
            state.reason = reason
            state.cancelledAt = .now
            cancelled.store(true, ordering: .releasing)
            if let patience = state.patience {
                state.interruptsAt = .now + patience
            } else {
                // Under the lock that `detach` takes: so an interrupt can never affect the connection's next query.
                state.interrupt?.interrupt()
            }
        }
        parker.wake()
    }

    /// The next action for a cancelled query.
    enum CancelEscalation: Hashable {
        case nothing
        case look(at: ContinuousClock.Instant)
        /// The query was taken from its thread, which does not react: end it for its client.
        case abandon
    }

    /// Interrupts a cancelled read that has not stopped by itself, and abandons it if that does not help. A write is
    /// never abandoned: its transaction is open. Both get no more memory then.
    func escalation(at now: ContinuousClock.Instant) -> CancelEscalation {
        let next = state.withLock { state -> (at: ContinuousClock.Instant, isRead: Bool)? in
            guard let cancelledAt = state.cancelledAt, let interrupt = state.interrupt else { return nil }
            guard state.patience != nil else { return (cancelledAt + Self.maxDisregard, false) }
            if let interruptsAt = state.interruptsAt {
                if now < interruptsAt { return (interruptsAt, true) }
                interrupt.interrupt()
                state.interruptsAt = nil
            }
            return (cancelledAt + Self.maxSilence, true)
        }
        guard let next else { return .nothing }
        if now < next.at { return .look(at: next.at) }
        // Its thread may be about to notice the cancel.
        if next.isRead, !turn.takeOver() { return .look(at: now + Self.maxSilence) }
        state.withLock { state in
            // Not once it is detached: a commit and a rollback must succeed.
            if state.interrupt != nil { state.resources?.starve() }
        }
        return next.isRead ? .abandon : .nothing
    }

    // MARK: On the query's own thread

    /// Lets a cancel interrupt the connection from now on. Throws when the query is already cancelled.
    ///
    /// - Parameter patience: how long a cancel leaves the query to its progress handler, which usually reacts sooner;
    ///   for the other cases a thread must call ``escalation(at:)``.
    func attach(_ guarded: GuardedConnection, patience: Duration? = nil) throws(Ended) {
        let reason = state.withLock { state in
            if state.reason == nil {
                state.interrupt = guarded.connection.interruptHandle
                state.resources = guarded.resources
                state.patience = patience
            }
            return state.reason
        }
        if let reason { throw .cancelled(reason) }
    }

    /// Protects the connection from cancels from now on: before a commit, which must run to its end, and before a
    /// rollback. Returns the reason of an earlier cancel.
    @discardableResult
    func detach() -> CancelReason? {
        state.withLock { state in
            state.interrupt = nil
            state.resources?.relent()
            return state.reason
        }
    }

    // MARK: Deadline

    var deadline: ContinuousClock.Instant? { state.withLock { $0.deadline } }

    /// The query has run: no deadline applies any more.
    func endDeadline() { state.withLock { $0.deadline = nil } }

    /// Excludes the time in which the receiver does not read: runs `body` without a deadline and extends it afterwards.
    func withoutDeadline<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        let deadline = state.withLock { state in
            defer { state.deadline = nil }
            return state.deadline
        }
        let start = ContinuousClock.now
        defer {
            let pause = start.duration(to: .now)
            state.withLock { $0.deadline = deadline.map { $0 + pause } }
        }
        return try body()
    }
}

/// How a query ended other than by completing.
enum Ended: Error {
    case cancelled(CancelReason)
    case failed(QueryFailure)
    /// Only on a reader: the query must run on the writer, and nothing has happened yet.
    case needsWriter
}

/// A submitted query, which any thread can cancel or wake. The handle retains the query's sink.
package struct QueryHandle: Sendable {
    let control: QueryControl

    package var queryId: String { control.request.queryId }

    /// The sink is writable again; a query that sleeps because it was not checks it and continues. Never blocks.
    package func resume() { control.parker.wake() }
}

/// The time between a query's commit and the point when its position is known: progress reports continue.
///
/// Thread-safe: the deadline loop reports, and the thread that fulfils the receipt ends it. The lock keeps a report
/// from following the end.
final class CommitWait: Sendable {
    /// Shorter queries end before a report is useful.
    static let patience = Duration.milliseconds(50)

    /// The last progress of the query's thread; its fraction is the elapsed share of the time.
    private let last: QueryProgress
    private let sink: any QuerySink
    /// The expected time of the rest, estimated from the query's time so far.
    private let expected: Duration?
    private let beganAt = ContinuousClock.now
    private let isOver = Mutex(false)

    init(_ last: QueryProgress, after duration: Duration, sink: any QuerySink) {
        self.last = last
        self.sink = sink
        expected = last.fraction.flatMap { $0 > 0 ? duration * ((1 - $0) / $0) : nil }
    }

    func report(at now: ContinuousClock.Instant) {
        let waited = beganAt.duration(to: now)
        var progress = last
        progress.message = "reading the commit from the log"
        progress.elapsed += waited
        if let fraction = last.fraction, let expected, expected > .zero {
            progress.fraction = max(fraction, min(fraction + (1 - fraction) * (waited / expected), 0.99))
        }
        isOver.withLock { isOver in
            if !isOver { sink.progress(progress) }
        }
    }

    func end() { isOver.withLock { $0 = true } }
}
