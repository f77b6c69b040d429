import SQLiteConnection
import Synchronization

/// The end of the caller's present turn: of an event loop, that of reading from all sockets that were ready.
package struct SubmissionTurn {
    /// The same for all turns of one event loop.
    let loop: ObjectIdentifier
    let atEnd: (@escaping @Sendable () -> Void) -> Void

    /// - Parameters:
    ///   - loop: the event loop, on whose thread the query is submitted.
    ///   - atEnd: has a closure called at the end of the turn.
    package init(of loop: AnyObject, atEnd: @escaping (@escaping @Sendable () -> Void) -> Void) {
        self.loop = ObjectIdentifier(loop)
        self.atEnd = atEnd
    }
}

/// Queries that were submitted and that the scheduler does not know yet.
///
/// Queries of several clients that arrive in one turn of an event loop enter the scheduler together: one lock and one wake
/// for each idle thread. A thread that is woken for the first of them would often take the processor from the event loop,
/// and sleep again before the second is read.
struct Arrivals {
    /// How many wait for the end of the turn; with more, the threads begin while the event loop still reads.
    private static let maxWaiting = 16

    private var queries: [Query] = []
    /// The event loops that will admit the queries at the end of their turns.
    private var loops: [ObjectIdentifier] = []

    enum Admission {
        case now
        case atEndOfTurn
        /// An earlier query of the turn has arranged it.
        case arranged
    }

    /// - Parameter loop: the event loop on which the query was submitted; nil if the query does not wait for others.
    mutating func append(_ query: Query, on loop: ObjectIdentifier?) -> Admission {
        queries.append(query)
        guard let loop, queries.count < Self.maxWaiting else { return .now }
        if loops.contains(loop) { return .arranged }
        loops.append(loop)
        return .atEndOfTurn
    }

    mutating func takeAll() -> [Query] {
        if queries.isEmpty { return [] }
        loops.removeAll(keepingCapacity: true)
        defer { queries = [] }
        return queries
    }
}

// How queries enter the service.

extension QueryService {
    /// Queues a query. Its sink receives the result, including a refusal, on the service's threads.
    ///
    /// - Parameter turn: the query may wait for the end of this turn, to be queued together with others. It is queued before
    ///   any later call of the same thread takes effect.
    @discardableResult
    package func submit(
        _ request: SQLRequest,
        for client: ClientKey,
        sink: any QuerySink,
        together turn: SubmissionTurn? = nil
    ) -> QueryHandle {
        let limits = configuration.limits
        let isTooLong = request.sql.utf8.count > limits.evaluation.maxSQLBytes
        // The ids of a client ascend, because it submits one query after the other.
        let query = Query(
            id: lastId.wrappingAdd(1, ordering: .relaxed).newValue,
            request: request,
            client: client,
            sink: sink,
            outline: ScriptOutline(isTooLong ? "" : request.sql),
            timeout: min(request.timeout ?? limits.statementTime, limits.maxStatementTime)
        )
        switch arrivals.withLock({ $0.append(query, on: turn?.loop) }) {
        case .now: admitArrivals()
        case .atEndOfTurn: turn?.atEnd { [self] in admitArrivals() }
        case .arranged: break
        }
        return QueryHandle(query: query)
    }

    /// Queues the queries that have arrived, and starts those that can start.
    func admitArrivals() {
        let admitted = state.withLock { state -> (Actions, wakesDeadlineLoop: Bool)? in
            guard let wakesDeadlineLoop = admitArrivals(&state) else { return nil }
            return (state.takeActions(), wakesDeadlineLoop)
        }
        guard let (actions, wakesDeadlineLoop) = admitted else { return }
        perform(actions)
        if wakesDeadlineLoop { deadlineLoop.wake() }
    }

    /// - Returns: whether the deadline loop must run earlier than it would; nil when no query has arrived. Then
    ///   ``State/takeActions()`` must follow.
    func admitArrivals(_ state: inout State) -> Bool? {
        let queries = arrivals.withLock { $0.takeAll() }
        if queries.isEmpty { return nil }
        let limits = configuration.limits
        var earliest: ContinuousClock.Instant?
        for query in queries {
            let isTooLong = query.request.sql.utf8.count > limits.evaluation.maxSQLBytes
            if let refusal = isTooLong ? .sqlTooLong(query.request, limits) : state.admit(query, limits) {
                state.report(query.abort(refusal), of: query)
            } else {
                earliest = min(earliest ?? query.firstTick, query.firstTick)
            }
        }
        guard let earliest else { return false }
        // In most cases the deadline loop already runs by then.
        return state.mustWakeDeadlineLoop(by: min(earliest, state.scheduler.nextTick ?? earliest))
    }
}
