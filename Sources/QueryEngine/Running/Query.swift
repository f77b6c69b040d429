import SQLiteConnection
import Synchronization

/// One query: its request, its sink, and its state, which all threads share.
///
/// Thread-safe. ``QueryStateMachine`` makes every decision, under one lock; this class performs its actions.
final class Query: Sendable {
    let id: UInt64
    let request: SQLRequest
    let client: ClientKey
    let sink: any QuerySink
    let outline: ScriptOutline
    /// The scheduler's view of the query.
    let ticket: Ticket
    let submittedAt: ContinuousClock.Instant
    /// When the deadline loop must know it.
    let firstTick: ContinuousClock.Instant
    /// Rows delivered so far.
    let rowCount = Atomic<Int>(0)
    /// The executor's thread sleeps here while the query waits for its receiver or for a lock.
    let parker = Parker()

    /// The connection that runs the query, and the budget of its thread, while a cancel may act on them.
    private struct Attachment {
        var interrupt: InterruptHandle
        var resources: ResourceBudget
    }

    private struct State {
        var machine: QueryStateMachine
        var attachment: Attachment?
    }

    /// The machine's view of a cancel, read without the lock between rows and within SQLite's callbacks.
    private enum CancelFlag: UInt8, AtomicRepresentable {
        case none
        /// It has arrived when nothing may stop: the next statement does not begin.
        case recorded
        case mustStop
    }

    private let state: Mutex<State>
    private let cancelFlag = Atomic(CancelFlag.none)
    private let sinkOwner = Atomic(SinkOwner.executor)

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
        // A reader enforces a read-only policy completely, without the writer.
        let mayWrite = request.policy.level > .readOnly
        ticket = Ticket(
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
        let deadline = submittedAt + timeout
        let announcesAt = sink.holdsBack ? submittedAt + QueryStateMachine.announceDelay : nil
        firstTick = min(announcesAt ?? deadline, deadline)
        state = Mutex(State(machine: QueryStateMachine(deadline: deadline, announcesAt: announcesAt)))
    }

    var elapsed: Duration { submittedAt.duration(to: .now) }

    private func withMachine<Result>(
        _ event: (inout QueryStateMachine, inout Attachment?) -> sending Result
    ) -> sending Result {
        state.withLock { state in
            defer {
                let machine = state.machine
                let flag: CancelFlag =
                    machine.mustStop ? .mustStop : machine.cancelReason == nil ? .none : .recorded
                cancelFlag.store(flag, ordering: .releasing)
            }
            return event(&state.machine, &state.attachment)
        }
    }

    // MARK: Cancel

    /// A cancel has arrived. It may be too late.
    var isCancelled: Bool { cancelFlag.load(ordering: .relaxed) != .none }
    /// A cancel ends the query where it is.
    var mustStop: Bool { cancelFlag.load(ordering: .relaxed) == .mustStop }
    var cancelReason: CancelReason? { state.withLock { $0.machine.cancelReason } }

    /// Ends the query as soon as possible; the first reason counts. Never blocks.
    func cancel(_ reason: CancelReason) {
        let action = withMachine { machine, attachment in
            let action = machine.cancel(reason, at: .now)
            // Under the lock that `detach` takes: so an interrupt can never affect the connection's next query.
            if action == .interrupt { attachment?.interrupt.interrupt() }
            return action
        }
        if action != .none { parker.wake() }
    }

    /// Enforces the query's time limits, and reports its progress while it waits for its position.
    func tick(at now: ContinuousClock.Instant) -> (action: QueryStateMachine.TickAction, next: ContinuousClock.Instant?)
    {
        withMachine { machine, attachment in
            let (action, next) = machine.tick(at: now)
            switch action {
            case .interrupt: attachment?.interrupt.interrupt()
            // Only while attached: a commit and a rollback must succeed.
            case .starve: attachment?.resources.starve()
            case .none, .timeOut, .abandon, .report, .announce: break
            }
            return (action, next)
        }
    }

    /// Ends a read that does not react to its cancel. Its thread cannot call the sink any more.
    ///
    /// - Returns: the result to report; nil when its thread may be about to notice the cancel.
    func abandon() -> QueryResult? {
        let free = SinkOwner.free
        guard sinkOwner.compareExchange(expected: free, desired: .other, ordering: .acquiring).exchanged else {
            return nil
        }
        return withMachine { machine, attachment in
            attachment?.resources.starve()
            let reason = machine.cancelReason ?? .client
            return machine.abort(.cancelled(reason, rowCount: rowCount.load(ordering: .relaxed)))
        }
    }

    /// Ends a query that never ran.
    func abort(_ result: QueryResult) -> QueryResult? { withMachine { machine, _ in machine.abort(result) } }

    // MARK: On the query's executor

    /// Lets a cancel interrupt the connection from now on. Throws when the query is already cancelled.
    func attach(_ guarded: GuardedConnection, interruptDelay: Duration? = nil) throws(QueryStop) {
        let action = withMachine { machine, attachment in
            let action = machine.attach(interruptDelay: interruptDelay)
            if action == .run {
                attachment = Attachment(
                    interrupt: guarded.connection.interruptHandle,
                    resources: guarded.resources
                )
            }
            return action
        }
        switch action {
        case .run: break
        case .stop(let reason): throw .cancelled(reason)
        case .none: throw .failed(QueryFailure(.internal, "the query has ended already"))
        }
    }

    /// Protects the connection from cancels from now on: before a commit, which must run to its end, and before a
    /// rollback. Returns the reason of an earlier cancel.
    @discardableResult
    func detach() -> CancelReason? {
        withMachine { machine, attachment in
            attachment?.resources.relent()
            attachment = nil
            return machine.detach()
        }
    }

    /// Runs `body`, which waits for the receiver: the time does not count.
    func pause<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        withMachine { machine, _ in machine.pause(at: .now) }
        defer { withMachine { machine, _ in machine.resume(at: .now) } }
        return try body()
    }

    func requeue() -> QueryStateMachine.AttachAction { withMachine { machine, _ in machine.requeue() } }

    func finish(_ result: QueryResult, awaiting commit: QueryStateMachine.AwaitedCommit? = nil) -> QueryResult? {
        withMachine { machine, _ in machine.finish(result, awaiting: commit) }
    }

    func published(_ commit: PublishedCommit) -> QueryResult? {
        withMachine { machine, _ in machine.published(commit) }
    }

    /// Ends a cancelled read before SQLite cleans up; no call to the sink follows the returned result.
    func endCancelled(rowCount: Int) -> QueryResult? {
        let result = withMachine { machine, _ in machine.endCancelled(rowCount: rowCount) }
        if result != nil { sinkOwner.store(.other, ordering: .relaxed) }
        return result
    }

    // MARK: Who may call the sink

    /// The executor calls the sink, except while it is within SQLite, possibly for seconds without a callback: then
    /// another thread may abandon the query. Atomic, because it changes with every row.
    private enum SinkOwner: UInt8, AtomicRepresentable {
        case executor
        /// The executor is within SQLite.
        case free
        /// The query has ended: the executor must not call the sink again.
        case other
    }

    enum SinkAccess {
        case kept
        /// It had been released.
        case takenBack
        case lost
    }

    /// Called on the executor, which makes no call to the sink before ``takeSink()``.
    @inline(__always)
    func releaseSink() { sinkOwner.store(.free, ordering: .releasing) }

    /// Called on the executor, before it calls the sink.
    @inline(__always)
    func takeSink() -> SinkAccess {
        switch sinkOwner.compareExchange(expected: .free, desired: .executor, ordering: .acquiring).original {
        case .free: .takenBack
        case .executor: .kept
        case .other: .lost
        }
    }

    var ownsSink: Bool { sinkOwner.load(ordering: .relaxed) == .executor }

    /// Sends the final message. Called once, with the result that ended the query.
    func report(_ result: QueryResult) {
        switch result {
        case .completed(var outcome):
            // Includes the time that it waited for the position.
            outcome.duration = elapsed
            sink.completed(outcome)
        case .failed(let failure):
            sink.failed(failure)
        case .cancelled(let reason, let rowCount, let inTransaction, let receipt):
            sink.cancelled(
                QueryCancellation(
                    reason: reason,
                    rowCount: rowCount,
                    duration: elapsed,
                    inTransaction: inTransaction,
                    receipt: receipt
                )
            )
        }
    }
}

/// Why an executor stops running a query before its end.
enum QueryStop: Error {
    case cancelled(CancelReason)
    case failed(QueryFailure)
    /// A statement failed in SQLite while it ran.
    case sqlite(SQLiteError)
    /// Only on a reader: the query must run on the writer, and nothing has happened yet.
    case needsWriter
}

/// A submitted query, which any thread can cancel or wake. The handle retains the query's sink.
package struct QueryHandle: Sendable {
    let query: Query

    package var queryId: String { query.request.queryId }

    /// The sink is writable again; a query that sleeps because it was not checks it and continues. Never blocks.
    package func resume() { query.parker.wake() }
}
