package import ChangeCapture
import SQLiteConnection
import Synchronization

/// Follows queries: gives each subscriber the rows of its query and then exactly what every commit changes in them.
///
/// Takes what a ``DatabaseWatcher`` delivers and evaluates it on threads of its own, so that the watcher never waits. Thread-safe.
package final class LiveQueryEngine: Sendable {
    /// A commit that waits to be evaluated.
    struct Pending: Sendable {
        var position: LivePosition
        var mark: CommitMark?
        var tables: [TableRows]
        /// Drops, renames and the like.
        var schemaChanges: [SchemaChange]
        let receivedAt = ContinuousClock.now
    }

    enum Command: Sendable {
        case subscribe(LiveSubscriberID, client: UInt64, LiveQueryRequest)
        case unsubscribe(LiveSubscriberID)
        case report(@Sendable ([LiveQueryFigures]) -> Void)
        /// A rule by which rights were given does not hold any more.
        case revoke(@Sendable (String) -> String?)
        case readerBegan(LivePosition)
        case compiled(LiveSubscriberID, client: UInt64, LiveQueryRequest, Result<LivePlan, LiveRefusal>)
        case snapshot(LiveQueryID, generation: Int, LivePosition, Result<LiveRows, LiveRefusal>)
        case recompiled(LiveQueryID, generation: Int, Result<LivePlan, LiveRefusal>)
        case run(LiveQueryID, generation: Int, LivePosition, Duration, Result<LiveRows, LiveRefusal>, [LiveRowChange])
        case readerFailed([Reader.Job], LiveRefusal)
    }

    struct Mailbox: Sendable {
        var commands: [Command] = []
        var pending: [Pending] = []
        var pendingRows = 0
        /// The feed's position when it broke, with what it begins again from.
        var newEpoch: LivePosition?
        /// More came than may wait.
        var isLost = false
        /// Of the last commit that was received.
        var feedPosition: LivePosition
        /// Whether any query is followed; commits are not kept otherwise.
        var isActive = false
        var isStopped = false
        var statistics = LiveQueryStatistics()
    }

    let mailbox: Monitor<Mailbox>
    let limits: LiveLimits
    private let lastSubscriber = Atomic<UInt64>(0)
    private let thread: Monitor<NamedThread?>
    private let makeCoordinator: @Sendable (LiveQueryEngine) -> Coordinator

    /// - Parameters:
    ///   - watcher: of the same file. It must deliver each transaction to ``receive(_:at:)`` on its own thread.
    ///   - position: of the last transaction that was delivered before the first one that comes here.
    package convenience init(
        path: String,
        watcher: DatabaseWatcher,
        sink: any LiveQuerySink,
        position: LivePosition,
        limits: LiveLimits = LiveLimits(),
        watcherLimits: WatcherLimits = WatcherLimits()
    ) {
        self.init(
            path: path,
            watcher: watcher,
            sink: sink,
            position: position,
            limits: limits,
            watcherLimits: watcherLimits,
            faults: []
        )
    }

    /// - Parameter faults: parts of the evaluation that a test switches off.
    package init(
        path: String,
        watcher: DatabaseWatcher,
        sink: any LiveQuerySink,
        position: LivePosition,
        limits: LiveLimits,
        watcherLimits: WatcherLimits,
        faults: LiveQueryFaults
    ) {
        mailbox = Monitor(Mailbox(feedPosition: position))
        self.limits = limits
        thread = Monitor(nil)
        makeCoordinator = { engine in
            Coordinator(
                path: path,
                watcher: watcher,
                sink: sink,
                engine: engine,
                limits: limits,
                watcherLimits: watcherLimits,
                faults: faults
            )
        }
    }

    // MARK: From any thread

    /// Begins to work.
    package func start() throws(WatchError) {
        let started = try WatchError.startThread("live-queries") { [self] in makeCoordinator(self).run() }
        thread.update { $0 = started }
    }

    /// Ends every query without a word and waits for the threads.
    package func stop() {
        mailbox.update { $0.isStopped = true }
        let started = thread.update { thread in
            defer { thread = nil }
            return thread
        }
        started?.join()
    }

    /// Begins to follow a query; the sink receives how it went.
    ///
    /// - Parameter client: whose queries are counted together.
    package func subscribe(_ request: LiveQueryRequest, client: UInt64) -> LiveSubscriberID {
        let id = LiveSubscriberID(number: lastSubscriber.wrappingAdd(1, ordering: .relaxed).newValue)
        mailbox.update { mailbox in
            mailbox.isActive = true
            mailbox.commands.append(.subscribe(id, client: client, request))
        }
        return id
    }

    /// Ends a subscription. Nothing comes for it once the sink has received what was under way.
    package func unsubscribe(_ id: LiveSubscriberID) {
        mailbox.update { $0.commands.append(.unsubscribe(id)) }
    }

    /// Ends the queries of rights that do not hold any more.
    ///
    /// - Parameter reason: why those of an identity end; nil for those that go on.
    package func revoke(_ reason: @escaping @Sendable (_ identity: String) -> String?) {
        mailbox.update { $0.commands.append(.revoke(reason)) }
    }

    package var statistics: LiveQueryStatistics {
        mailbox.withLock { mailbox in
            var statistics = mailbox.statistics
            statistics.pendingTransactions = mailbox.pending.count
            return statistics
        }
    }

    /// What each query costs, and how far it is; waits for what the engine is evaluating.
    package func figures() async -> [LiveQueryFigures] {
        await withCheckedContinuation { continuation in
            let isAccepted = mailbox.update { mailbox in
                if mailbox.isStopped { return false }
                mailbox.commands.append(.report { continuation.resume(returning: $0) })
                return true
            }
            if !isAccepted { continuation.resume(returning: []) }
        }
    }

    // MARK: From the watcher's thread

    /// A transaction that was published at a position; in the order of positions, on the watcher's thread. Only notes it.
    package func receive(_ transaction: CapturedTransaction, at position: LivePosition) {
        var tables: [TableRows] = []
        var changes: [SchemaChange] = []
        for event in transaction.changes.events {
            switch event {
            case .rows(let rows): tables.append(rows)
            case .schema(let change): changes.append(change)
            }
        }
        let pending = Pending(position: position, mark: transaction.mark, tables: tables, schemaChanges: changes)
        mailbox.update { mailbox in
            mailbox.feedPosition = position
            guard mailbox.isActive, !mailbox.isLost else { return }
            mailbox.pending.append(pending)
            mailbox.pendingRows += tables.reduce(0) { $0 + $1.rows.count }
            if mailbox.pending.count > limits.maxPendingTransactions || mailbox.pendingRows > limits.maxPendingRows {
                mailbox.pending = []
                mailbox.pendingRows = 0
                mailbox.isLost = true
            }
        }
    }

    /// What came before and what will come do not join; on the watcher's thread.
    package func epochChanged(to position: LivePosition) {
        mailbox.update { mailbox in
            mailbox.feedPosition = position
            mailbox.pending = []
            mailbox.pendingRows = 0
            mailbox.newEpoch = position
        }
    }
}

/// Parts of the evaluation that a test switches off, to see that its oracle finds it.
package struct LiveQueryFaults: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Rows that come from changed rows of several tables are counted once for each.
    package static let noExclusion = LiveQueryFaults(rawValue: 1)
    /// Groups that only rows of the state before name are not evaluated again.
    package static let noOldGroups = LiveQueryFaults(rawValue: 2)
    /// Changed rows on the right side of a LEFT JOIN do not affect the rows on its left side.
    package static let noLeftJoins = LiveQueryFaults(rawValue: 4)
    /// Rows are looked for among all rows and not among the changed ones.
    package static let noRestriction = LiveQueryFaults(rawValue: 8)
    /// The state after a commit is taken for the state before it.
    package static let noStateBefore = LiveQueryFaults(rawValue: 16)
}
