import ChangeCapture
import SQLiteConnection
import Synchronization

extension QueryService {
    /// Starts the service's threads.
    func startThreads(_ commitSink: (any CommitSink)?) throws(SQLiteError) {
        var isStarted = start("query-writer") { [self] in runWriter(commitSink) }
        for index in readers.indices {
            isStarted = isStarted && start("query-reader-\(index)") { [self] in runReader(index) }
        }
        isStarted = isStarted && start("query-planner") { [planner] in planner.run() }
        isStarted = isStarted && startDetached("query-deadlines") { [self] in runDeadlineLoop() }
        guard isStarted else {
            planner.stop()
            for worker in readers + [writer] { worker.give(.stop) }
            throw SQLiteError(code: .outOfMemory, message: "the system refuses to start another thread")
        }
    }

    private func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { $0.threadCount += 1 }
        let isStarted = startDetached(name) { [self] in
            body()
            state.withLock { $0.threadCount -= 1 }
            deadlineLoop.wake()
        }
        if !isStarted { state.withLock { $0.threadCount -= 1 } }
        return isStarted
    }

    /// False when the system refuses to start another thread.
    private func startDetached(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        do {
            try NamedThread(name: name, body).detach()
            return true
        } catch {
            return false
        }
    }

    private func runReader(_ index: Int) {
        let executor = ReadExecutor(configuration, planner: planner)
        if index < configuration.limits.readerCount { executor.prepare() }
        while true {
            switch readers[index].take() {
            case .stop: return executor.close()
            case .rollBack: continue
            case .close: executor.close()
            case .run(let control, let generation):
                let conclusion = executor.run(
                    control,
                    generation: generation,
                    onSettle: { [self] in noteSettled(control) },
                    onPause: { [self] isPaused in notePause(of: control, isPaused) },
                    onCancel: { [self] conclusion in
                        state.withLock { state in
                            state.scheduler.readEnded(control.ticket)
                            state.forget(control.id)
                        }
                        conclusion.deliver(to: control)
                    }
                )
                let (work, isShuttingDown) = state.withLock { state in
                    let ticket = control.ticket
                    if case .handOn = conclusion {
                        state.scheduler.readerHandsOn(index, ticket)
                    } else {
                        state.forget(control.id)
                        state.scheduler.readerFinished(index, ticket)
                    }
                    return (state.assignedWork(), state.shutdown != nil)
                }
                // This precedes the notification of the sink, so that a client that reacts to it finds the service up
                // to date.
                give(work)
                conclusion.deliver(to: control)
                // The query may wait for another client's transaction now, with a time limit.
                if case .handOn = conclusion { deadlineLoop.wake() }
                if isShuttingDown { deadlineLoop.wake() }
            }
        }
    }

    /// The query is known to be read-only: later requests of its client need not wait for it.
    private func noteSettled(_ control: QueryControl) {
        guard control.ticket.mayWrite else { return }
        let work = state.withLock { state in
            state.scheduler.readIsSettled(control.id)
            return state.assignedWork()
        }
        give(work)
    }

    /// While a read sleeps for its receiver, another read may run.
    private func notePause(of control: QueryControl, _ isPaused: Bool) {
        let work = state.withLock { state in
            if isPaused {
                state.scheduler.readPaused(control.id)
            } else {
                state.scheduler.readResumed(control.id)
            }
            return state.assignedWork()
        }
        give(work)
    }

    private func runWriter(_ commitSink: (any CommitSink)?) {
        let executor = WriteExecutor(configuration, planner: planner, commitSink: commitSink)
        executor.prepare()
        while true {
            switch writer.take() {
            case .stop: return executor.close()
            case .close:
                executor.close()
                continue
            case .rollBack:
                executor.rollBack()
                state.withLock { $0.scheduler.writerRolledBack() }
            case .run(let control, let generation):
                let result = executor.run(control, generation: generation)
                control.endDeadline()
                let limits = configuration.limits
                let why = state.withLock { state in
                    let orphaned = state.scheduler.writerFinished(
                        control.ticket,
                        transaction: result.transaction,
                        at: .now
                    )
                    if let (why, tickets) = orphaned {
                        state.fail(tickets, .transactionEnded(why, limits).refusingTheRest)
                    }
                    return orphaned?.why
                }
                deliver(result, of: control)
                if let why {
                    notifyRolledBack(control.client, .transactionEnded(why, limits))
                    deadlineLoop.wake()
                }
            }
            executor.maintain()
            let (work, isShuttingDown) = state.withLock { state in
                state.scheduler.writerIsReady()
                return (state.assignedWork(), state.shutdown != nil)
            }
            give(work)
            // The idle time of an open transaction begins now.
            if executor.isInTransaction || isShuttingDown { deadlineLoop.wake() }
        }
    }

    /// Reports the end of a writer's query, once the position of its commit in the commit order is known.
    private func deliver(_ result: WriteExecutor.Result, of control: QueryControl) {
        let (conclusion, wait) = (result.conclusion, result.wait?.0)
        if let (wait, interval) = result.wait {
            let reportsAt = ContinuousClock.now + interval
            let wakesDeadlineLoop = state.withLock { state in
                state.commitWaits[control.id] = .init(wait: wait, interval: interval, reportsAt: reportsAt)
                return state.deadlineLoopWakesAt.map { $0 > reportsAt } ?? true
            }
            if wakesDeadlineLoop { deadlineLoop.wake() }
        }
        let body = { @Sendable [self] (position: String?) in
            wait?.end()
            state.withLock { state in
                state.commitWaits[control.id] = nil
                state.freeQueryId(of: control)
            }
            conclusion.deliver(to: control, receipt: position)
            // Only afterwards, because a shutdown waits for it.
            let isShuttingDown = state.withLock { state in
                state.forget(control.id)
                return state.shutdown != nil
            }
            if isShuttingDown { deadlineLoop.wake() }
        }
        if let receipt = result.receipt { receipt.whenKnown(body) } else { body(nil) }
    }

    // MARK: Deadline loop

    /// Reports queries that never ran, and enforces every time limit.
    private func runDeadlineLoop() {
        while true {
            let actions = state.withLock { $0.actions(at: .now, readers: readers.count) }
            for notice in actions.notices { notice.conclusion.deliver(to: notice.control) }
            if let (client, why) = actions.ended {
                notifyRolledBack(client, .transactionEnded(why, configuration.limits))
            }
            for control in actions.expired { control.cancel(.timeout) }
            for wait in actions.reports { wait.report(at: .now) }
            give(actions.work)
            if actions.stopsWorkers {
                planner.stop()
                for worker in readers + [writer] { worker.give(.stop) }
            }
            for continuation in actions.finished { continuation.resume(returning: actions.isOver) }
            if actions.isOver { return }
            deadlineLoop.sleep(atMost: actions.next.map { ContinuousClock.now.duration(to: $0) })
        }
    }
}

extension QueryService.State {
    /// The actions of the deadline loop, run outside of the lock.
    struct DeadlineActions {
        var notices: [QueryService.Notice]
        var expired: [QueryControl]
        var ended: Scheduler.Ended?
        var reports: [CommitWait]
        var work: [QueryService.Assigned]
        var stopsWorkers = false
        var finished: [CheckedContinuation<Bool, Never>] = []
        var isOver = false
        var next: ContinuousClock.Instant?
    }

    mutating func actions(at now: ContinuousClock.Instant, readers: Int) -> DeadlineActions {
        let late = queries.values.filter { $0.deadline.map { $0 <= now } ?? false }.map(\.id)
        let expired = cancel(late, .timeout)
        let looksAt = attendToCancelled(at: now)
        let (busy, orphaned, ended) = scheduler.tick(at: now)
        fail(busy, QueryFailure(.busy, "another client's transaction holds the writer"))
        fail(orphaned, .rolledBack.refusingTheRest)
        var actions = DeadlineActions(
            notices: notices,
            expired: expired.filter { !$0.isCancelled },
            ended: ended,
            reports: dueReports(at: now),
            work: assignedWork()
        )
        notices = []
        finishShutdown(&actions, at: now)
        // A query that sleeps for its receiver has no deadline now, and gets one when it wakes.
        let deadlines = queries.values.lazy.filter { !$0.isCancelled }.map { $0.deadline ?? now + .milliseconds(500) }
        let reports = commitWaits.values.lazy.map(\.reportsAt).min()
        let times = [deadlines.min(), looksAt, reports, scheduler.nextTick, shutdown?.deadline]
        actions.next = times.compactMap(\.self).min()
        deadlineLoopWakesAt = actions.next
        return actions
    }

    /// Interrupts cancelled queries that do not end, and abandons those that do not react to that either.
    ///
    /// - Returns: when to call again.
    private mutating func attendToCancelled(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var next: ContinuousClock.Instant?
        for control in queries.values where control.isCancelled {
            switch control.escalation(at: now) {
            case .nothing: break
            case .look(let instant): next = min(next ?? instant, instant)
            case .abandon:
                scheduler.readAbandoned(control.ticket)
                forget(control.id)
                let rowCount = control.rowCount.load(ordering: .relaxed)
                let conclusion = QueryResult.cancelled(control.cancelReason ?? .client, rowCount: rowCount)
                notices.append(QueryService.Notice(control: control, conclusion: conclusion))
            }
        }
        return next
    }

    private mutating func dueReports(at now: ContinuousClock.Instant) -> [CommitWait] {
        commitWaits.filter { $0.value.reportsAt <= now }.map { id, due in
            commitWaits[id]?.reportsAt = now + due.interval
            return due.wait
        }
    }

    private mutating func finishShutdown(_ actions: inout DeadlineActions, at now: ContinuousClock.Instant) {
        guard var shutdown else { return }
        if scheduler.isQuiet, !shutdown.hasStoppedWorkers {
            shutdown.hasStoppedWorkers = true
            actions.stopsWorkers = true
        }
        // A query that the writer has finished can still wait for its receipt.
        actions.isOver = threadCount == 0 && queries.isEmpty
        if actions.isOver || shutdown.deadline <= now {
            actions.finished = shutdown.waiting
            shutdown.waiting = []
            if !actions.isOver { shutdown.deadline = now + .seconds(1) }
        }
        self.shutdown = shutdown
    }
}
