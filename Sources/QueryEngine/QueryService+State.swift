import SQLiteConnection

extension QueryService.State {
    /// Queues the query, or returns the reason for a refusal.
    mutating func admit(_ control: QueryControl, _ limits: QueryLimits) -> QueryResult? {
        let queryId = control.request.queryId
        if idsInUse[queryId] != nil {
            return .failed(QueryFailure(.queryIdInUse, "a query with the id \(queryId) is waiting or running"))
        }
        if let refusal = scheduler.submit(control.ticket) { return Self.conclusion(refusal, limits) }
        queries[control.id] = control
        idsInUse[queryId] = control.id
        return nil
    }

    private static func conclusion(_ refusal: Scheduler.Refusal, _ limits: QueryLimits) -> QueryResult {
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

    mutating func assignedWork() -> [QueryService.Assigned] {
        scheduler.assign().compactMap { assignment in
            switch assignment {
            case .read(let ticket, let reader):
                queries[ticket.id].map { .init(reader: reader, work: .run($0, generation: generation)) }
            case .write(let ticket):
                queries[ticket.id].map { .init(work: .run($0, generation: generation)) }
            case .rollBack(let client):
                .init(work: .rollBack(client))
            }
        }
    }

    /// Removes the queries from the queue, or returns them when they run.
    mutating func cancel(_ ids: [UInt64], _ reason: CancelReason) -> [QueryControl] {
        var running: [QueryControl] = []
        // In ascending order, so that a BEGIN comes before the COMMIT that delimits its transaction.
        for id in ids.sorted() {
            switch scheduler.withdraw(id) {
            case .removed(let ticket, let orphaned):
                conclude([ticket], reason)
                fail(orphaned, .rolledBack.refusingTheRest)
            case .running(let ticket): running += controls([ticket])
            case .unknown: break
            }
        }
        return running
    }

    /// Ends queries that never ran.
    mutating func conclude(_ tickets: [Ticket], _ reason: CancelReason) {
        for ticket in tickets {
            guard let control = forget(ticket.id) else { continue }
            // A handle may still call resume; no thread sleeps there.
            notices.append(QueryService.Notice(control: control, conclusion: .cancelled(reason, rowCount: 0)))
        }
    }

    mutating func fail(_ tickets: [Ticket], _ failure: QueryFailure) {
        for ticket in tickets {
            guard let control = forget(ticket.id) else { continue }
            notices.append(QueryService.Notice(control: control, conclusion: .failed(failure)))
        }
    }

    @discardableResult
    mutating func forget(_ id: UInt64) -> QueryControl? {
        guard let control = queries.removeValue(forKey: id) else { return nil }
        freeQueryId(of: control)
        return control
    }

    /// Releases the query's id for another query.
    mutating func freeQueryId(of control: QueryControl) {
        let queryId = control.request.queryId
        if idsInUse[queryId] == control.id { idsInUse[queryId] = nil }
    }

    func controls(_ tickets: [Ticket]) -> [QueryControl] { tickets.compactMap { queries[$0.id] } }
}

extension QueryFailure {
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

    /// The failure of a query that was meant to be part of that transaction.
    var refusingTheRest: QueryFailure {
        var failure = self
        failure.message += "; everything fails until your COMMIT or ROLLBACK, or another BEGIN"
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
