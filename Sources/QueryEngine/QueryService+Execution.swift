import ChangeCapture
import SQLiteConnection
import Synchronization

// What the service does on its executors.

extension QueryService {
    /// Performs what a change of the state has caused. Never blocks.
    func perform(_ actions: Actions) {
        for work in actions.work {
            switch work {
            case .read(let query, let index, let generation):
                let job: @Sendable (QueryReader) -> Void = { [self] reader in
                    read(query, generation: generation, index, on: reader)
                }
                // Without a thread of its own it waits for another one.
                if !readers[index].submit(job) { readers[0].submit(job) }
            case .write(let query, let generation):
                writer.submit { [self] writer in write(query, generation: generation, on: writer) }
            case .rollBack:
                writer.submit { [self] writer in rollBack(on: writer) }
            }
        }
        guard !actions.reports.isEmpty else { return }
        reporter.submit {
            for report in actions.reports {
                switch report {
                case .end(let query, let result): query.report(result)
                case .progress(let query, let progress): query.sink.progress(progress)
                case .announce(let query): query.sink.announce()
                }
            }
        }
    }

    // MARK: On a reader's thread

    private func read(_ query: Query, generation: Int, _ index: Int, on reader: QueryReader) {
        let ticket = query.ticket
        let beganAt = ContinuousClock.now
        var pausedAt: ContinuousClock.Instant?
        var paused = Duration.zero
        let result = reader.run(
            query,
            generation: generation,
            onSettle: { [self] in noteSettled(query) },
            onPause: { [self] isPaused in
                if let since = pausedAt { paused += .now - since }
                pausedAt = isPaused ? .now : nil
                notePause(of: query, isPaused)
            },
            onCancel: { [self] result in
                state.withLock { state in
                    state.scheduler.readEnded(ticket)
                    state.forget(query.id)
                }
                query.report(result)
            }
        )
        let time = .now - beganAt - paused
        let (report, actions, wakesDeadlineLoop) = state.withLock { state in
            state.charge(time, for: query)
            let report = state.readerIsDone(index, query, result)
            let isEarlier = admitArrivals(&state) ?? false
            return (report, state.takeActions(), isEarlier || result == nil || state.shutdown != nil)
        }
        // This precedes the report, so that a client that reacts to it finds the service up to date.
        perform(actions)
        if let report { query.report(report) }
        // The query may wait for another client's transaction now, with a time limit.
        if wakesDeadlineLoop { deadlineLoop.wake() }
    }

    /// The query is known to be read-only: later requests of its client need not wait for it.
    private func noteSettled(_ query: Query) {
        guard query.ticket.mayWrite else { return }
        let actions = state.withLock { state in
            state.scheduler.readIsSettled(query.id)
            return state.takeActions()
        }
        perform(actions)
    }

    /// While a read sleeps for its receiver, another read may run.
    private func notePause(of query: Query, _ isPaused: Bool) {
        let actions = state.withLock { state in
            if isPaused {
                state.scheduler.readPaused(query.id)
            } else {
                state.scheduler.readResumed(query.id)
            }
            return state.takeActions()
        }
        perform(actions)
    }

    // MARK: On the writer's thread

    private func rollBack(on writer: QueryWriter) {
        writer.rollBack()
        writer.maintain()
        let (actions, isShuttingDown) = state.withLock { state in
            state.scheduler.writerRolledBack()
            state.scheduler.writerIsReady()
            return (state.takeActions(), state.shutdown != nil)
        }
        perform(actions)
        if isShuttingDown { deadlineLoop.wake() }
    }

    private func write(_ query: Query, generation: Int, on writer: QueryWriter) {
        let beganAt = ContinuousClock.now
        let outcome = writer.run(query, generation: generation)
        let time = .now - beganAt
        let limits = configuration.limits
        let (report, why, actions, wakesDeadlineLoop) = state.withLock { state in
            state.charge(time, for: query)
            let orphaned = state.scheduler.writerFinished(
                query.ticket,
                transaction: outcome.transaction,
                at: .now
            )
            if let (why, tickets) = orphaned {
                state.end(tickets, .failed(.transactionEnded(why, limits).refusingTheRest))
            }
            let commit = outcome.receipt.map { _ in QueryStateMachine.AwaitedCommit(progress: outcome.progress) }
            let report = query.finish(outcome.result, awaiting: commit)
            if commit == nil { state.forget(query.id) }
            let reportsAt = commit?.progress?.reportsAt
            // The next query waits in the writer's mailbox until this one returns.
            state.scheduler.writerIsReady()
            let isEarlier = admitArrivals(&state) ?? false
            // The idle time of an open transaction begins now.
            let wakesDeadlineLoop =
                isEarlier || orphaned != nil || outcome.transaction == .open || state.shutdown != nil
                || reportsAt.map { state.mustWakeDeadlineLoop(by: $0) } ?? false
            return (report, orphaned?.why, state.takeActions(), wakesDeadlineLoop)
        }
        if let report { query.report(report) }
        perform(actions)
        outcome.receipt?.notify(self, of: query.id)
        if let why { notifyRolledBack(query.client, .transactionEnded(why, limits)) }
        if wakesDeadlineLoop { deadlineLoop.wake() }
        if !actions.runsWriter { writer.rest() }
        writer.maintain()
    }

    // MARK: On the thread of the deadline loop

    /// Enforces every time limit: cancels and wakes queries, and stops the executors at the end.
    func runDeadlineLoop() {
        while true {
            let due = state.withLock { $0.due(at: .now) }
            perform(due.actions)
            if let (client, why) = due.ended {
                notifyRolledBack(client, .transactionEnded(why, configuration.limits))
            }
            if due.stopsWorkers { stopWorkers() }
            if due.stopsReporter {
                reporter.stop { [self] in
                    state.withLock { $0.hasReporterEnded = true }
                    deadlineLoop.wake()
                }
            }
            for continuation in due.finished { continuation.resume(returning: due.isOver) }
            if due.isOver { return }
            deadlineLoop.sleep(atMost: due.next.map { ContinuousClock.now.duration(to: $0) })
        }
    }

    private func stopWorkers() {
        planner.stop()
        let onEnd = { @Sendable [self] in
            state.withLock { $0.workerCount -= 1 }
            deadlineLoop.wake()
        }
        for reader in readers { reader.stop(onEnd: onEnd) }
        writer.stop(onEnd: onEnd)
    }
}

extension QueryService: CommitReceiptOwner {
    /// The last commits of these queries are durable and published: the queries end. Called on the thread that publishes commits,
    /// which does no more than this for a query.
    package func published(_ commits: [UInt64: PublishedCommit]) {
        let (actions, isShuttingDown) = state.withLock { state in
            // In the order in which they were submitted.
            for (id, commit) in commits.sorted(by: { $0.key < $1.key }) {
                if let query = state.forget(id) { state.report(query.published(commit), of: query) }
            }
            return (state.takeActions(), state.shutdown != nil)
        }
        perform(actions)
        if isShuttingDown { deadlineLoop.wake() }
    }
}

extension QueryService.State {
    /// A reader has run the query, and is idle.
    ///
    /// - Parameter result: nil when the query writes.
    /// - Returns: the result to report.
    mutating func readerIsDone(_ index: Int, _ query: Query, _ result: QueryResult?) -> QueryResult? {
        let ticket = query.ticket
        var result = result
        if result == nil {
            switch query.requeue() {
            case .run:
                scheduler.readerHandsOn(index, ticket)
                return nil
            case .stop(let reason): result = .cancelled(reason, rowCount: 0)
            case .none: break
            }
        }
        forget(query.id)
        scheduler.readerFinished(index, ticket)
        return result.flatMap { query.finish($0) }
    }

    /// What the deadline loop has to do, outside of the lock.
    struct Due {
        var actions: QueryService.Actions
        /// The client whose transaction reached a time limit.
        var ended: Scheduler.Ended?
        var stopsWorkers = false
        var stopsReporter = false
        var finished: [CheckedContinuation<Bool, Never>] = []
        var isOver = false
        var next: ContinuousClock.Instant?
    }

    /// Whether the deadline loop would otherwise run only after this instant.
    func mustWakeDeadlineLoop(by instant: ContinuousClock.Instant) -> Bool {
        deadlineLoopWakesAt.map { $0 > instant } ?? true
    }

    mutating func due(at now: ContinuousClock.Instant) -> Due {
        let next = tickQueries(at: now)
        let (busy, orphaned, ended) = scheduler.tick(at: now)
        end(busy, .failed(QueryFailure(.busy, "another client's transaction holds the writer")))
        end(orphaned, .failed(.rolledBack.refusingTheRest))
        var due = Due(actions: takeActions(), ended: ended)
        continueShutdown(&due, at: now)
        due.next = [next, scheduler.nextTick, shutdown?.deadline].compactMap(\.self).min()
        deadlineLoopWakesAt = due.next
        return due
    }

    /// - Returns: when to call again.
    private mutating func tickQueries(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var late: [UInt64] = []
        var earliest: ContinuousClock.Instant?
        for query in queries.values {
            let (action, next) = query.tick(at: now)
            switch action {
            case .none, .interrupt, .starve: break
            case .timeOut: late.append(query.id)
            case .report(let progress): reports.append(.progress(query, progress))
            case .announce: reports.append(.announce(query))
            case .abandon:
                guard let result = query.abandon() else { break }
                scheduler.readAbandoned(query.ticket)
                forget(query.id)
                report(result, of: query)
                continue
            }
            if let next { earliest = min(earliest ?? next, next) }
        }
        cancel(late, .timeout)
        return earliest
    }

    private mutating func continueShutdown(_ due: inout Due, at now: ContinuousClock.Instant) {
        guard var shutdown else { return }
        if scheduler.isQuiet, !shutdown.hasStoppedWorkers {
            shutdown.hasStoppedWorkers = true
            due.stopsWorkers = true
        }
        // A query that the writer has finished can still wait for its position.
        if workerCount == 0, queries.isEmpty, !shutdown.hasStoppedReporter {
            shutdown.hasStoppedReporter = true
            due.stopsReporter = true
        }
        due.isOver = hasReporterEnded
        if due.isOver || shutdown.deadline <= now {
            due.finished = shutdown.waiting
            shutdown.waiting = []
            if !due.isOver { shutdown.deadline = now + .seconds(1) }
        }
        self.shutdown = shutdown
    }
}
