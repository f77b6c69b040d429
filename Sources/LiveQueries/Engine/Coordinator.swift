import ChangeCapture
import SQLiteConnection

/// The thread that owns the queries: takes commits in order, evaluates the incremental queries by changed rows, and
/// passes the others to the reader.
final class Coordinator {
    let path: String
    let watcher: DatabaseWatcher
    let sink: any LiveQuerySink
    /// The owner of this thread; it waits for this thread before it is released.
    let engine: LiveQueryEngine
    let limits: LiveLimits
    let watcherLimits: WatcherLimits
    let faults: LiveQueryFaults
    let reader: Reader

    var queries: [LiveQueryID: LiveQuery] = [:]
    var byIdentity: [LiveQuery.Identity: LiveQueryID] = [:]
    /// By the table that they read; nil when the map must be rebuilt.
    var byTable: [SQLName: [LiveQuery]]?
    var subscribers: [LiveSubscriberID: (query: LiveQueryID, client: UInt64)] = [:]
    /// Subscribers of queries that are compiled for the first time.
    var compiling: [LiveQuery.Identity: [(LiveSubscriberID, client: UInt64, LiveQueryRequest)]] = [:]
    var countByClient: [UInt64: Int] = [:]
    /// The tables and views, folded, whose schema changed while a query was compiled, with the last commit that changed
    /// each.
    var schemaChanges: [SQLName: UInt64] = [:]
    /// Subscribers that ended before their query was compiled.
    var gone: Set<LiveSubscriberID> = []
    private var lastID: UInt64 = 0

    /// The commit up to which everything is evaluated; nil while there is no query.
    var position: LivePosition?
    /// The commit after which evaluation began: the changes of earlier ones are not known.
    private var startSequence: UInt64 = 0
    /// Nil when the file has no write-ahead log, or cannot be read now.
    var views: ViewPair?
    /// The commits that are not evaluated yet; a slice, so that taking the first ones moves nothing.
    var pending: ArraySlice<LiveQueryEngine.Pending> = []
    /// Results as of commits that have not been evaluated yet.
    private var held: [LiveQueryEngine.Command] = []
    /// Requested snapshots whose position is not known yet.
    var unbegunSnapshots = 0
    /// The positions of snapshots that are being read: no step may pass them.
    var barriers: Set<UInt64> = []
    private var lastReached: (position: LivePosition, lagging: Set<LiveQueryID>)?
    private var reachedAt = ContinuousClock.now
    /// When a commit was evaluated last.
    var evaluatedAt = ContinuousClock.now
    var statistics = LiveQueryStatistics()

    init(
        path: String,
        watcher: DatabaseWatcher,
        sink: any LiveQuerySink,
        engine: LiveQueryEngine,
        limits: LiveLimits,
        watcherLimits: WatcherLimits,
        faults: LiveQueryFaults
    ) {
        self.path = path
        self.watcher = watcher
        self.sink = sink
        self.engine = engine
        self.limits = limits
        self.watcherLimits = watcherLimits
        self.faults = faults
        reader = Reader(watcher: watcher, engine: engine)
    }

    func run() {
        do { try reader.start() } catch { return }
        while true {
            let mail: (commands: [LiveQueryEngine.Command], newEpoch: LivePosition?, isLost: Bool)? = engine.mailbox
                .wait(
                    atMost: waitTime
                ) { mailbox in
                    if mailbox.isStopped { return ([], nil, false) }
                    guard
                        !mailbox.commands.isEmpty || !mailbox.pending.isEmpty || mailbox.newEpoch != nil
                            || mailbox.isLost
                    else { return nil }
                    defer {
                        mailbox.commands = []
                        mailbox.newEpoch = nil
                        mailbox.isLost = false
                    }
                    if mailbox.newEpoch != nil { pending = [] }
                    pending += mailbox.pending
                    mailbox.pending = []
                    mailbox.pendingRows = 0
                    return (mailbox.commands, mailbox.newEpoch, mailbox.isLost)
                }
            if isStopped { break }
            if let epoch = mail?.newEpoch { beginEpoch(at: epoch) }
            if mail?.isLost == true { loseTrack() }
            for command in mail?.commands ?? [] { perform(command) }
            evaluatePending()
            scheduleRuns()
            care()
            // Before it is reported what is reached: its receiver can ask for them at once.
            engine.mailbox.withLock { $0.statistics = statistics }
            reach()
        }
        for query in queries.values { query.evaluator = nil }
        views?.close()
        reader.stop()
        for case .report(let answer) in engine.mailbox.withLock({ $0.commands }) { answer([]) }
    }

    /// Counts something for a query and for all of them.
    func count(_ query: LiveQuery, _ change: (inout LiveQueryStatistics) -> Void) {
        change(&statistics)
        change(&query.statistics)
    }

    private var isStopped: Bool { engine.mailbox.withLock { $0.isStopped } }

    private var waitTime: Duration {
        if isEager { return Self.eagerInterval }
        let now = ContinuousClock.now
        var time = queries.isEmpty ? Duration.seconds(60) : limits.pinInterval
        for query in queries.values where !query.dirty.isEmpty && !query.isRunUnderWay {
            time = min(time, max(.zero, query.nextRun - now))
        }
        return time
    }

    /// Between two looks at a long log.
    private static let eagerInterval = Duration.microseconds(500)
    /// For how long after a commit a long log is looked at so often.
    private static let eagerTime = Duration.milliseconds(100)

    /// Whether the pin should move now, so that the log can start from its beginning soon.
    private var isEager: Bool {
        guard let views, !views.commits.isResting, ContinuousClock.now - evaluatedAt < Self.eagerTime else {
            return false
        }
        return Int(views.commits.mark.lastFrame) > limits.eagerPinFrames
    }

    func makeID() -> LiveQueryID {
        lastID += 1
        return LiveQueryID(number: lastID)
    }

    // MARK: Commands

    func perform(_ command: LiveQueryEngine.Command) {
        switch command {
        case .subscribe(let subscriber, let client, let request): subscribe(subscriber, client, request)
        case .unsubscribe(let subscriber): unsubscribe(subscriber)
        case .report(let answer): answer(figures())
        case .readerBegan(let seen):
            unbegunSnapshots = 0
            if let position, seen.epoch == position.epoch, seen.sequence > position.sequence {
                barriers.insert(seen.sequence)
            }
        case .compiled(let subscriber, let client, let request, let seen, let result):
            if case .success(let plan) = result, isOutdated(plan, compiledAt: seen) {
                reader.add(.compile(subscriber, client: client, request))
            } else {
                compiled(request, result)
            }
        case .recompiled(let id, let generation, let seen, let result):
            guard let query = queries[id], query.generation == generation else { return }
            if case .success(let plan) = result, isOutdated(plan, compiledAt: seen) {
                recompile(query)
            } else {
                recompiled(query, result)
            }
        case .snapshot(let id, let generation, let seen, let result):
            guard let query = queries[id], query.generation == generation else { return }
            guard isReached(seen, command) else { return }
            snapshotRead(query, seen, result)
        case .run(let id, let generation, let seen, let time, let result, let changes):
            guard let query = queries[id], query.generation == generation else { return }
            guard isReached(seen, command) else { return }
            ran(query, seen, time, result, changes)
        case .readerFailed(let jobs, let refusal): failed(jobs, refusal)
        }
    }

    private func figures() -> [LiveQueryFigures] {
        let now = ContinuousClock.now
        let waiting = pending.first.map { now - $0.receivedAt } ?? .zero
        return queries.values.sorted { $0.id.number < $1.id.number }.map { query in
            var figures = query.figures(at: now)
            figures.lag = max(figures.lag, waiting)
            return figures
        }
    }

    /// Whether the commits that a result contains have been evaluated; otherwise the result is held until then.
    private func isReached(_ seen: LivePosition, _ command: LiveQueryEngine.Command) -> Bool {
        guard let position, position.epoch == seen.epoch, seen.sequence > position.sequence else { return true }
        held.append(command)
        return false
    }

    /// Whether the schema that a query was compiled with may have changed for it since: such a change was evaluated
    /// before the plan arrived, which names the tables that the query reads.
    private func isOutdated(_ plan: LivePlan, compiledAt seen: LivePosition) -> Bool {
        guard let position else { return false }
        guard seen.epoch == position.epoch, seen.sequence >= startSequence else { return true }
        return schemaChanges.contains { $0.value > seen.sequence && plan.dependsOnSchema(of: [$0.key]) }
    }

    func performHeld() {
        guard !held.isEmpty else { return }
        let commands = held
        held = []
        for command in commands { perform(command) }
    }

    // MARK: Start position

    /// Determines the position from which commits are evaluated, for the first query or after a break.
    func begin() {
        guard position == nil else { return }
        closeViews()
        var opened: ViewPair?
        do {
            opened = try ViewPair(path: path, watcherLimits: watcherLimits, hold: watcher.logHold) { [engine] in
                engine.mailbox.withLock { $0.isStopped }
            }
        } catch {
            // The file has a rollback journal; or it is gone, which the watcher reports.
        }
        let deadline = ContinuousClock.now + watcherLimits.busyTimeout * 5
        while !isStopped {
            let (mark, reached) = askMark()
            guard let pair = opened else {
                start(at: reached, nil)
                return
            }
            guard let mark, ContinuousClock.now < deadline else {
                pair.close()
                opened = nil
                continue
            }
            do {
                if try pair.commits.begin(at: mark) {
                    start(at: reached, pair)
                    return
                }
                if mark.salt != pair.commits.mark.salt { try pair.commits.restartPin() }
            } catch {
                pair.close()
                opened = nil
            }
            nap(.microseconds(200))
        }
    }

    private func start(at reached: LivePosition, _ pair: ViewPair?) {
        position = reached
        startSequence = reached.sequence
        views = pair
        engine.mailbox.update { mailbox in
            pending += mailbox.pending
            mailbox.pending = []
            mailbox.pendingRows = 0
        }
        pending.removeAll { $0.position.epoch != reached.epoch || $0.position.sequence <= reached.sequence }
    }

    /// The watcher's state between two transactions.
    private func askMark() -> (CommitMark?, LivePosition) {
        let answer = Monitor<(CommitMark?, LivePosition)?>(nil)
        watcher.currentMark { [engine] result in
            let position = engine.mailbox.withLock { $0.feedPosition }
            answer.update { $0 = ((try? result.get()) ?? nil, position) }
        }
        while !isStopped {
            if let answer = answer.wait(atMost: .milliseconds(100), { $0 }) { return answer }
        }
        return (nil, engine.mailbox.withLock { $0.feedPosition })
    }

    func closeViews() {
        for query in queries.values { query.evaluator = nil }
        views?.close()
        views = nil
    }

    private func beginEpoch(at start: LivePosition) {
        held = []
        barriers = []
        position = nil
        if queries.isEmpty { return closeViews() }
        begin()
        for query in queries.values { reset(query) }
    }

    /// Too many commits are pending, the views are unreliable, or they have held the log for too long: every query
    /// starts again, because the pending commits are not evaluated.
    func loseTrack() {
        closeViews()
        held = []
        barriers = []
        position = nil
        pending = []
        begin()
        for query in queries.values { reset(query) }
    }

    // MARK: Periodic work

    private func care() {
        removeIdle()
        if compiling.isEmpty, !queries.values.contains(where: { $0.phase == .compiling }) { schemaChanges = [:] }
        if let views {
            do throws(WatchError) {
                let patience = isEager ? Duration.zero : limits.pinInterval
                if views.commits.pinAge > patience, views.commits.pinnedFrameCount > 0 {
                    try views.commits.renewPin()
                } else {
                    try views.commits.rest()
                }
                if let age = views.commits.pendingPinAge, pending.isEmpty, age > limits.pinInterval * 4 {
                    try followMark(views)
                }
            } catch {
                loseTrack()
            }
        }
        if queries.isEmpty, compiling.isEmpty {
            let isActive = engine.mailbox.update { mailbox in
                mailbox.isActive = !mailbox.commands.isEmpty
                if !mailbox.isActive { mailbox.pending = [] }
                return mailbox.isActive
            }
            if !isActive, position != nil {
                closeViews()
                position = nil
                pending = []
            }
        }
    }

    /// A commit without changes has no position, and the pin would wait forever for the next one that has.
    private func followMark(_ views: ViewPair) throws(WatchError) {
        let (mark, reached) = askMark()
        guard let mark, reached == position else { return }
        try views.commits.advance(to: mark)
    }

    private func reach() {
        guard let position, !queries.isEmpty else { return }
        let lagging = Set(queries.values.lazy.filter { !$0.isExact }.map(\.id))
        if let lastReached, lastReached.position == position, lastReached.lagging == lagging { return }
        let isIdle = pending.isEmpty && lagging.isEmpty && engine.mailbox.withLock { $0.pending.isEmpty }
        guard isIdle || ContinuousClock.now - reachedAt >= limits.reachedInterval else { return }
        lastReached = (position, lagging)
        reachedAt = .now
        sink.receive(.reached(position, except: lagging))
    }
}
