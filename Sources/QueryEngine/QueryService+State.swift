import SQLiteConnection

extension QueryService.State {
    /// Queues the query, or returns the reason for a refusal.
    mutating func admit(_ query: Query, _ limits: QueryLimits) -> QueryResult? {
        let queryId = query.request.queryId
        if idsInUse[queryId] != nil {
            return .failed(QueryFailure(.queryIdInUse, "a query with the id \(queryId) is waiting or running"))
        }
        // A client must be able to end its transaction.
        if !query.ticket.ends, let identity = query.request.identity,
            let wait = timeBudget.wait(of: identity, at: query.submittedAt)
        {
            return .failed(.rateLimited(limits, retryAfter: wait))
        }
        if let refusal = scheduler.submit(query.ticket) { return Self.result(of: refusal, limits) }
        queries[query.id] = query
        idsInUse[queryId] = query.id
        return nil
    }

    private static func result(of refusal: Scheduler.Refusal, _ limits: QueryLimits) -> QueryResult {
        switch refusal {
        case .tooManyQueries:
            .failed(
                QueryFailure(.tooManyQueries, "\(limits.maxQueries) queries are waiting or running, which is the limit")
            )
        case .tooManyQueriesOfClient:
            .failed(
                QueryFailure(
                    .tooManyQueries,
                    "\(limits.maxQueriesPerClient) of your queries are waiting or running, which is the limit"
                )
            )
        case .tooManyQueriesOfIdentity:
            .failed(
                QueryFailure(
                    .tooManyQueries,
                    "your identity has as many queries waiting or running as places are left of \(limits.maxQueries)"
                )
            )
        case .transactionTimedOut, .transactionTooLong, .transactionLost, .transactionRolledBack:
            .failed(.transactionEnded(refusal, limits).refusingTheRest)
        case .shuttingDown:
            .cancelled(.shutdown, rowCount: 0)
        }
    }

    /// The query has been on a thread for this time.
    mutating func charge(_ time: Duration, for query: Query) {
        guard let identity = query.request.identity else { return }
        timeBudget.take(time, of: identity, at: .now)
    }

    /// What has to happen outside of the lock: the work that can start now, and the reports since the last call.
    mutating func takeActions() -> QueryService.Actions {
        let work = scheduler.assign().compactMap { assignment -> QueryService.Actions.Work? in
            switch assignment {
            case .read(let ticket, let reader):
                queries[ticket.id].map { .read($0, reader: reader, generation: generation) }
            case .write(let ticket):
                queries[ticket.id].map { .write($0, generation: generation) }
            case .rollBack:
                .rollBack
            }
        }
        backlog.note(scheduler.hasWaitingWrite)
        defer { reports = [] }
        return QueryService.Actions(work: work, reports: reports)
    }

    /// Cancels the queries, and ends those that wait.
    mutating func cancel(_ ids: [UInt64], _ reason: CancelReason) {
        // In ascending order, so that a BEGIN comes before the COMMIT that delimits its transaction.
        for id in ids.sorted() {
            switch scheduler.withdraw(id) {
            case .removed(let ticket, let orphaned):
                end([ticket], .cancelled(reason, rowCount: 0))
                end(orphaned, .failed(.rolledBack.refusingTheRest))
            case .running: queries[id]?.cancel(reason)
            // It has run, and waits for the position of its commit.
            case .unknown: break
            }
        }
    }

    mutating func cancelRunning(_ tickets: [Ticket], _ reason: CancelReason) {
        for ticket in tickets { queries[ticket.id]?.cancel(reason) }
    }

    /// Ends queries that never ran.
    mutating func end(_ tickets: [Ticket], _ result: QueryResult) {
        for ticket in tickets {
            // A handle may still call resume; no thread sleeps there.
            guard let query = forget(ticket.id) else { continue }
            report(query.abort(result), of: query)
        }
    }

    /// Has the reporter send the result.
    mutating func report(_ result: QueryResult?, of query: Query) {
        if let result { reports.append(.end(query, result)) }
    }

    /// Releases the query and its id.
    @discardableResult
    mutating func forget(_ id: UInt64) -> Query? {
        guard let query = queries.removeValue(forKey: id) else { return nil }
        let queryId = query.request.queryId
        if idsInUse[queryId] == query.id { idsInUse[queryId] = nil }
        return query
    }
}

extension QueryFailure {
    static func rateLimited(_ limits: QueryLimits, retryAfter: Duration) -> QueryFailure {
        // In whole milliseconds, rounded up.
        let milliseconds = Int64((retryAfter / .milliseconds(1)).rounded(.up))
        var failure = QueryFailure(
            .rateLimited,
            "your queries have used their time, \(limits.maxTimePerSecondOfIdentity) in a second on average: try again in "
                + "\(milliseconds) ms"
        )
        failure.retryAfter = .milliseconds(milliseconds)
        return failure
    }

    static let rolledBack = QueryFailure(
        .transactionRolledBack,
        "your transaction was rolled back, or never began, when a statement of it was cancelled or failed"
    )

    /// The failure that a client receives when its transaction was ended without its request.
    static func transactionEnded(_ why: Scheduler.Refusal, _ limits: QueryLimits) -> QueryFailure {
        switch why {
        case .transactionTooLong:
            timedOut("open for longer than \(limits.maxTransactionTime)")
        case .transactionTimedOut:
            timedOut("idle for longer than \(limits.transactionIdleTimeout)")
        case .transactionLost:
            QueryFailure(.databaseGone, "the database file was replaced, and your transaction was rolled back")
        default:
            rolledBack
        }
    }

    private static func timedOut(_ what: String) -> QueryFailure {
        QueryFailure(.transactionTimedOut, "your transaction was \(what) and was rolled back")
    }

    package static let refusesTheRest = "; everything fails until your COMMIT or ROLLBACK, or another BEGIN"

    /// The failure of a query that was meant to be part of that transaction.
    var refusingTheRest: QueryFailure {
        var failure = self
        failure.message += Self.refusesTheRest
        return failure
    }
}

extension QueryResult {
    static func sqlTooLong(_ request: SQLRequest, _ limits: QueryLimits) -> QueryResult {
        .failed(
            QueryFailure(
                .tooBig,
                "the SQL has \(request.sql.utf8.count) bytes; \(limits.evaluation.maxSQLBytes) are allowed"
            )
        )
    }
}
