import ChangeCapture
import SQLiteConnection
import Synchronization

extension QueryService {
    /// The bodies of the service's threads.
    func startThreads(_ commitSink: (any CommitSink)?) throws(SQLiteError) {
        var isStarted = start { [self] in runWriter(commitSink) }
        for index in readers.indices {
            isStarted = isStarted && start { [self] in runReader(index) }
        }
        isStarted = isStarted && start { [planner] in planner.run() }
        isStarted = isStarted && ServiceThread.start { [self] in runClerk() }
        guard isStarted else {
            planner.stop()
            for worker in readers + [writer] { worker.give(.stop) }
            throw SQLiteError(code: .outOfMemory, message: "the system refuses to start another thread")
        }
    }

    private func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { $0.threadCount += 1 }
        let isStarted = ServiceThread.start { [self] in
            body()
            state.withLock { $0.threadCount -= 1 }
            clerk.wake()
        }
        if !isStarted { state.withLock { $0.threadCount -= 1 } }
        return isStarted
    }

    private func runReader(_ index: Int) {
        let lane = ReaderLane(configuration, planner: planner)
        if index < configuration.limits.readerCount { lane.prepare() }
        while true {
            switch readers[index].take() {
            case .stop: return lane.close()
            case .rollBack: continue
            case .close: lane.close()
            case .run(let control, let generation):
                let conclusion = lane.run(
                    control,
                    generation: generation,
                    onSettle: { [self] in noteSettled(control) },
                    onPause: { [self] isPaused in notePause(of: control, isPaused) },
                    onCancel: { [self] conclusion in
                        state.withLock { state in
                            state.scheduler.readEnded(control.ticket)
                            state.forget(control.id)
                        }
                        conclusion.tell(control)
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
                // Before its sink hears, so that whoever waits for that finds the service up to date.
                give(work)
                conclusion.tell(control)
                // It may wait for another client's transaction now, and not for ever.
                if case .handOn = conclusion { clerk.wake() }
                if isShuttingDown { clerk.wake() }
            }
        }
    }

    /// It is known that the query only reads: what its client asked for next need not wait for it.
    private func noteSettled(_ control: QueryControl) {
        guard control.ticket.isUnsettled else { return }
        let work = state.withLock { state in
            state.scheduler.readIsSettled(control.id)
            return state.assignedWork()
        }
        give(work)
    }

    /// While a read sleeps for its receiver, another one may run.
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
        let lane = WriterLane(configuration, planner: planner, commitSink: commitSink)
        lane.prepare()
        while true {
            switch writer.take() {
            case .stop: return lane.close()
            case .close:
                lane.close()
                continue
            case .rollBack:
                lane.rollBack()
                state.withLock { $0.scheduler.writerRolledBack() }
            case .run(let control, let generation):
                let result = lane.run(control, generation: generation)
                control.endDeadline()
                let limits = configuration.limits
                let why = state.withLock { state in
                    let stranded = state.scheduler.writerFinished(
                        control.ticket,
                        transaction: result.transaction,
                        at: .now
                    )
                    if let (why, tickets) = stranded {
                        state.fail(tickets, .transactionEnded(why, limits).refusingTheRest)
                    }
                    return stranded?.why
                }
                tell(result, of: control)
                if let why {
                    tellRolledBack(control.client, .transactionEnded(why, limits))
                    clerk.wake()
                }
            }
            lane.maintain()
            let (work, isShuttingDown) = state.withLock { state in
                state.scheduler.writerIsReady()
                return (state.assignedWork(), state.shutdown != nil)
            }
            give(work)
            // An open transaction, if there is one, begins to idle now.
            if lane.isInTransaction || isShuttingDown { clerk.wake() }
        }
    }

    /// Says how a query of the writer's ended, once it is known where its commit is in the order of all.
    private func tell(_ result: WriterLane.Result, of control: QueryControl) {
        let (conclusion, wait) = (result.conclusion, result.wait?.0)
        if let (wait, interval) = result.wait {
            let reportsAt = ContinuousClock.now + interval
            let wakesClerk = state.withLock { state in
                state.commitWaits[control.id] = .init(wait: wait, interval: interval, reportsAt: reportsAt)
                return state.clerkLooksAt.map { $0 > reportsAt } ?? true
            }
            if wakesClerk { clerk.wake() }
        }
        let body = { @Sendable [self] (position: String?) in
            wait?.end()
            state.withLock { state in
                state.commitWaits[control.id] = nil
                state.freeQueryId(of: control)
            }
            conclusion.tell(control, receipt: position)
            // Not before: it is what a shutdown waits for.
            let isShuttingDown = state.withLock { state in
                state.forget(control.id)
                return state.shutdown != nil
            }
            if isShuttingDown { clerk.wake() }
        }
        if let receipt = result.receipt { receipt.whenKnown(body) } else { body(nil) }
    }

    // MARK: Clerk

    /// Tells of queries that never ran, and watches every time limit.
    private func runClerk() {
        while true {
            let errand = state.withLock { $0.errand(at: .now, readers: readers.count) }
            for notice in errand.notices { notice.conclusion.tell(notice.control) }
            if let (client, why) = errand.ended {
                tellRolledBack(client, .transactionEnded(why, configuration.limits))
            }
            for control in errand.expired { control.cancel(.timeout) }
            for wait in errand.reports { wait.report(at: .now) }
            give(errand.work)
            if errand.stopsWorkers {
                planner.stop()
                for worker in readers + [writer] { worker.give(.stop) }
            }
            for continuation in errand.finished { continuation.resume(returning: errand.isOver) }
            if errand.isOver { return }
            clerk.sleep(atMost: errand.next.map { ContinuousClock.now.duration(to: $0) })
        }
    }
}

extension QueryService.State {
    /// What the clerk has to do, outside of the lock.
    struct Errand {
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

    mutating func errand(at now: ContinuousClock.Instant, readers: Int) -> Errand {
        let late = queries.values.filter { $0.deadline.map { $0 <= now } ?? false }.map(\.id)
        let expired = cancel(late, .timeout)
        let looksAt = attendToCancelled(at: now)
        let (busy, stranded, ended) = scheduler.tick(at: now)
        fail(busy, QueryFailure(.busy, "another client's transaction holds the writer"))
        fail(stranded, .rolledBack.refusingTheRest)
        var errand = Errand(
            notices: notices,
            expired: expired.filter { !$0.isCancelled },
            ended: ended,
            reports: dueReports(at: now),
            work: assignedWork()
        )
        notices = []
        finishShutdown(&errand, at: now)
        // One that sleeps for its receiver has no deadline now, and gets one when it wakes.
        let deadlines = queries.values.lazy.filter { !$0.isCancelled }.map { $0.deadline ?? now + .milliseconds(500) }
        let reports = commitWaits.values.lazy.map(\.reportsAt).min()
        let times = [deadlines.min(), looksAt, reports, scheduler.nextTick, shutdown?.deadline]
        errand.next = times.compactMap(\.self).min()
        clerkLooksAt = errand.next
        return errand
    }

    /// Interrupts what was cancelled and does not end, and ends what does not answer to that either.
    ///
    /// - Returns: when to call again.
    private mutating func attendToCancelled(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var next: ContinuousClock.Instant?
        for control in queries.values where control.isCancelled {
            switch control.lateness(at: now) {
            case .nothing: break
            case .look(let instant): next = min(next ?? instant, instant)
            case .abandon:
                scheduler.readAbandoned(control.ticket)
                forget(control.id)
                let rowCount = control.rowCount.load(ordering: .relaxed)
                let conclusion = Conclusion.cancelled(control.cancelReason ?? .client, rowCount: rowCount)
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

    private mutating func finishShutdown(_ errand: inout Errand, at now: ContinuousClock.Instant) {
        guard var shutdown else { return }
        if scheduler.isQuiet, !shutdown.hasToldWorkers {
            shutdown.hasToldWorkers = true
            errand.stopsWorkers = true
        }
        // A query that the writer has done with can still wait for its receipt.
        errand.isOver = threadCount == 0 && queries.isEmpty
        if errand.isOver || shutdown.deadline <= now {
            errand.finished = shutdown.waiting
            shutdown.waiting = []
            if !errand.isOver { shutdown.deadline = now + .seconds(1) }
        }
        self.shutdown = shutdown
    }
}
