package import ChangeCapture
import SQLiteConnection
import Synchronization

/// Keeps queries live: sends each subscriber the rows of its query and then exactly the changes that every commit makes
/// in them.
///
/// Receives the transactions of a ``DatabaseWatcher`` and evaluates them on its own threads, so that the watcher never
/// waits. Thread-safe.
package final class LiveQueryEngine: Sendable {
    /// A commit to be evaluated.
    struct Pending: Sendable {
        var position: LivePosition
        var mark: CommitMark?
        var tables: [TableRows]
        /// Drops, renames and other schema changes.
        var schemaChanges: [SchemaChange]
        let receivedAt = ContinuousClock.now
    }

    enum Command: Sendable {
        case subscribe(LiveSubscriberID, client: UInt64, LiveQueryRequest)
        case unsubscribe(LiveSubscriberID)
        case report(@Sendable ([LiveQueryFigures]) -> Void)
        case readerBegan(LivePosition)
        case compiled(LiveSubscriberID, client: UInt64, LiveQueryRequest, LivePosition, Result<LivePlan, LiveRefusal>)
        case snapshot(LiveQueryID, generation: Int, LivePosition, Result<LiveRows, LiveRefusal>)
        case recompiled(LiveQueryID, generation: Int, LivePosition, Result<LivePlan, LiveRefusal>)
        case run(LiveQueryID, generation: Int, LivePosition, Duration, Result<LiveRows, LiveRefusal>, [LiveRowChange])
        case readerFailed([Reader.Job], LiveRefusal)
    }

    struct Mailbox: Sendable {
        var commands: [Command] = []
        var pending: [Pending] = []
        var pendingRows = 0
        /// The feed's position after a break: the one from which it begins again.
        var newEpoch: LivePosition?
        /// More commits arrived than may be pending.
        var isLost = false
        /// The position of the last received commit.
        var feedPosition: LivePosition
        /// Whether there is any query; otherwise commits are not kept.
        var isActive = false
        var isStopped = false
        var statistics = LiveQueryStatistics()
    }

    let mailbox: Monitor<Mailbox>
    let limits: LiveLimits
    private let lastSubscriber = Atomic<UInt64>(0)
    private let thread: Monitor<NamedThread?>
    let makeCoordinator: @Sendable (LiveQueryEngine) -> Coordinator

    /// - Parameters:
    ///   - watcher: a watcher of the same file. It must deliver each transaction to ``receive(_:at:)`` on its own
    ///     thread.
    ///   - position: the position of the last transaction that was delivered before the first one that arrives here.
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

    /// - Parameter faults: parts of the evaluation that a test disables.
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

    /// Starts the threads.
    package func start() throws(WatchError) {
        let started = try WatchError.startThread("live-queries", priority: .low) { [self] in
            makeCoordinator(self).run()
        }
        thread.update { $0 = started }
    }

    /// Ends every query without a notification and waits for the threads.
    package func stop() {
        mailbox.update { $0.isStopped = true }
        let started = thread.update { thread in
            defer { thread = nil }
            return thread
        }
        started?.join()
    }

    /// Starts a subscription; the sink receives the outcome.
    ///
    /// - Parameter client: the connection to which the query is counted.
    package func subscribe(_ request: LiveQueryRequest, client: UInt64) -> LiveSubscriberID {
        let id = LiveSubscriberID(number: lastSubscriber.wrappingAdd(1, ordering: .relaxed).newValue)
        mailbox.update { mailbox in
            mailbox.isActive = true
            mailbox.commands.append(.subscribe(id, client: client, request))
        }
        return id
    }

    /// Ends a subscription. The sink receives nothing for it after the events that are already under way.
    package func unsubscribe(_ id: LiveSubscriberID) {
        mailbox.update { $0.commands.append(.unsubscribe(id)) }
    }

    package var statistics: LiveQueryStatistics {
        mailbox.withLock { mailbox in
            var statistics = mailbox.statistics
            statistics.pendingTransactions = mailbox.pending.count
            return statistics
        }
    }

    /// The figures of each query; waits for the evaluation in progress.
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

    /// Receives a transaction that was published at a position; call it in the order of positions, on the watcher's
    /// thread. Only queues it.
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

    /// Transactions before and after this call do not join; call it on the watcher's thread.
    package func epochChanged(to position: LivePosition) {
        mailbox.update { mailbox in
            mailbox.feedPosition = position
            mailbox.pending = []
            mailbox.pendingRows = 0
            mailbox.newEpoch = position
        }
    }
}

/// Parts of the evaluation that a test disables, to verify that its oracle detects it.
package struct LiveQueryFaults: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Rows that come from changed rows of several tables are counted once for each table.
    package static let noExclusion = LiveQueryFaults(rawValue: 1)
    /// Groups that only rows of the previous state belong to are not evaluated again.
    package static let noOldGroups = LiveQueryFaults(rawValue: 2)
    /// Changed rows on the right side of a LEFT JOIN do not affect the rows on its left side.
    package static let noLeftJoins = LiveQueryFaults(rawValue: 4)
    /// The search covers all rows instead of the changed ones.
    package static let noRestriction = LiveQueryFaults(rawValue: 8)
    /// The state after a commit is used as the state before it.
    package static let noStateBefore = LiveQueryFaults(rawValue: 16)
}
