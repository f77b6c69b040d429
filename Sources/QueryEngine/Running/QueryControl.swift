import SQLiteConnection
import Synchronization

/// One query as every thread sees it: the request, where its results go, and the way to end it.
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
    /// The query's thread sleeps here when it waits for its receiver or for a lock.
    let parker = Parker()

    private struct State {
        var reason: CancelReason?
        var deadline: ContinuousClock.Instant?
        /// The connection that runs the query, while an interrupt can hit nothing else.
        var interrupt: InterruptHandle?
        /// What that connection may take, while the query may be ended.
        var resources: ResourceBudget?
        /// When a cancel may interrupt that; nil for at once.
        var patience: Duration?
        var interruptsAt: ContinuousClock.Instant?
        var cancelledAt: ContinuousClock.Instant?
    }

    /// How long a cancelled read may say nothing before it is ended for its client. Only a function that works on something
    /// very large keeps SQLite from answering for so long.
    private static let maxSilence = Duration.milliseconds(250)
    /// How long a cancelled query may go on before SQLite gets no more memory for it: it compiles statements, and does other
    /// work that allocates, without looking whether it is interrupted.
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

    /// What the scheduler knows of it.
    var ticket: Ticket {
        // A reader refuses everything that a read-only policy does, without the writer's help.
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

    // MARK: Ending it, from any thread

    /// Ends the query as soon as it can be; the first reason counts. Never blocks.
    func cancel(_ reason: CancelReason) {
        state.withLock { state in
            guard state.reason == nil else { return }
            state.reason = reason
            state.cancelledAt = .now
            cancelled.store(true, ordering: .releasing)
            if let patience = state.patience {
                state.interruptsAt = .now + patience
            } else {
                // Under the lock that `detach` takes: an interrupt can never hit the connection's next query.
                state.interrupt?.interrupt()
            }
        }
        parker.wake()
    }

    /// What is to be done about a query that was cancelled.
    enum CancelEscalation: Hashable {
        case nothing
        case look(at: ContinuousClock.Instant)
        /// It has been taken from its thread, which does not answer: end it for its client.
        case abandon
    }

    /// Interrupts a read that was cancelled and has not found out by itself, and gives it up if that does not help. A write is
    /// never given up: its transaction is open. Both get no more memory then.
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
        // Its thread may be about to find out.
        if next.isRead, !turn.takeOver() { return .look(at: now + Self.maxSilence) }
        state.withLock { state in
            // Not once it is detached: a commit and a rollback must succeed.
            if state.interrupt != nil { state.resources?.starve() }
        }
        return next.isRead ? .abandon : .nothing
    }

    // MARK: On the query's own thread

    /// From now on a cancel interrupts the connection. Throws when the query is already cancelled.
    ///
    /// - Parameter patience: how long a cancel leaves the query to its progress handler, which finds out sooner in all but
    ///   few cases; somebody has to call ``escalation(at:)`` for those.
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

    /// From now on a cancel leaves the connection alone: before a commit, which must run to its end, and before a
    /// rollback. Returns the reason of a cancel that came before.
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

    /// It has run: nothing about it can be late any more.
    func endDeadline() { state.withLock { $0.deadline = nil } }

    /// Time in which the receiver does not read does not count: runs `body` without a deadline and moves it afterwards.
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
    /// Only on a reader: it has to run on the writer, and nothing has happened yet.
    case needsWriter
}

/// A submitted query, to be cancelled or woken from any thread. Keeping it keeps the query's sink.
package struct QueryHandle: Sendable {
    let control: QueryControl

    package var queryId: String { control.request.queryId }

    /// The sink is writable again; a query that sleeps because it was not asks it and goes on. Never blocks.
    package func resume() { control.parker.wake() }
}

/// The time between a query's commit and the moment at which its position is known: its reports of progress go on.
///
/// Thread-safe: the deadline loop reports, and whoever fulfils the receipt ends it. The lock keeps a report from coming behind the
/// end.
final class CommitWait: Sendable {
    /// Shorter queries are over before anybody wonders.
    static let patience = Duration.milliseconds(50)

    /// As the query's thread left it; its fraction is the share of the time that was over.
    private let last: QueryProgress
    private let sink: any QuerySink
    /// How long the rest should take, by how long the query took so far.
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
