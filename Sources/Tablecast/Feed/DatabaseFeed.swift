import Broadcast
import ChangeCapture
import LiveQueries
import Logging
import QueryEngine
import StateStore
import Synchronization
import Tracing
import WireProtocol

/// Establishes the order of commits: passes those of the service's own writer and those of other processes to the
/// publisher, each exactly once.
///
/// With a watcher all commits come through it: the writer announces its commits, the watcher recognizes them and
/// delivers them in order, and only then the queries that made them end, so that they can report their position.
/// Without a watcher, for a database that no other process can write, the writer publishes immediately.
final class DatabaseFeed: Sendable {
    /// How many commits the writer may be ahead of the watcher. Reading several commits costs the watcher little more
    /// than reading one; but the log cannot be restarted until it has read them.
    static let maxUndelivered: UInt64 = 256
    /// How long the writer waits for the delivery of its commits before it continues. Ten million rows take seconds to
    /// read from the log.
    static let deliveryTimeout: Duration = .seconds(60)
    /// How many commits of a batch are published before the queries that made them end.
    private static let maxAnswers = 64
    /// So many commits of other processes, or so many of their rows, are captured before they are published together.
    private static let maxUnpublished = 32
    private static let maxUnpublishedRows = 256
    /// The same limit for a file without a log, where each commit must be compared before the next one, and which other
    /// processes can lock. After it the query ends without a position.
    static let comparisonTimeout: Duration = .seconds(5)

    /// A commit of the writer that the watcher has not delivered yet.
    private struct Announced {
        var commit: ServiceCommit
        var receipt: CommitReceipt
    }

    private struct State {
        var watcher: DatabaseWatcher?
        var lastToken: UInt64 = 0
        var announced: [UInt64: Announced] = [:]
        /// Published commits of the present batch, whose queries have not ended.
        var answers: [(receipt: CommitReceipt, commit: PublishedCommit)] = []
        var level = CaptureLevel.counts
        /// Why the file is not watched now.
        var goneBecause: String?
        var liveQueries: LiveQueryEngine?
        /// What an earlier process published, until it is known whether its epoch goes on.
        var earlier: StateKeeper.Earlier?
    }

    let publisher: ChangePublisher
    private let hub: Hub
    private let logger: Logger
    private let metrics: ServiceMetrics
    private let limits: Limits
    private let onReopened: @Sendable () -> Void
    private let onStart: @Sendable (StartNotice?) -> Void
    private let state = Mutex(State())
    /// Held while the engine of live queries starts.
    private let liveStart = Mutex(())
    /// Receives notifications as their type and data.
    let onNotice = Mutex<(@Sendable (MessageType, JSONValue) -> Void)?>(nil)
    /// Commits of other processes in the present batch. They are in no position until they are published.
    private let unpublished = Mutex<(transactions: [CapturedTransaction], rowCount: Int)>(([], 0))
    /// The commit in progress, while it is traced.
    private let commitSpan = Mutex<(any Span)?>(nil)

    /// - Parameters:
    ///   - onStart: called with the reason why the epoch of an earlier process does not go on, and with nil when a later epoch
    ///     begins.
    ///   - onReopened: called when the path names another file than before: its users must open it again.
    init(
        publisher: ChangePublisher,
        hub: Hub,
        logger: Logger,
        metrics: ServiceMetrics,
        limits: Limits,
        onStart: @escaping @Sendable (StartNotice?) -> Void,
        onReopened: @escaping @Sendable () -> Void
    ) {
        self.publisher = publisher
        self.hub = hub
        self.logger = logger
        self.metrics = metrics
        self.limits = limits
        self.onStart = onStart
        self.onReopened = onReopened
    }

    /// Starts watching the file for commits of other processes.
    ///
    /// - Parameter earlier: what an earlier process published, whose epoch goes on if no commit since is unknown.
    func watch(path: String, continuing earlier: StateKeeper.Earlier? = nil) throws(WatchError) {
        try publisher.keeper?.start { [weak self] error in self?.stateFailed(error) }
        state.withLock { state in
            state.earlier = earlier
            if let level = earlier?.state.level { state.level = max(state.level, level) }
        }
        let watcher = try DatabaseWatcher(
            path: path,
            sink: self,
            limits: limits.capture,
            continuing: earlier?.state.captured
        )
        watcher.captureLevel = captureLevel
        try watcher.start()
        state.withLock { $0.watcher = watcher }
    }

    func stop() {
        // Outside of the lock: stopping waits for the watcher's thread, which may be delivering.
        let watcher = state.withLock { state in
            defer { state.watcher = nil }
            return state.watcher
        }
        watcher?.stop()
        publisher.keeper?.stop()
        answer()
        // The commits that the watcher did not deliver.
        let left = state.withLock { state in
            defer { state.announced = [:] }
            return state.announced.values
        }
        let failure = watcher?.localCommits.syncRest()
        for announced in left { announced.receipt.fulfil(nil, syncFailure: failure) }
    }

    var status: WatcherStatus {
        state.withLock { state in
            WatcherStatus(
                heartbeatAge: state.watcher?.heartbeatAge,
                commitsBehind: state.announced.count,
                goneBecause: state.goneBecause
            )
        }
    }

    /// False until it is known whether the epoch of an earlier process goes on.
    var hasBegun: Bool { state.withLock { $0.earlier == nil } }

    var watcher: DatabaseWatcher? { state.withLock { $0.watcher } }

    var liveQueries: LiveQueryEngine? { state.withLock { $0.liveQueries } }

    /// Starts evaluating commits for live queries; returns when they can be subscribed to. A second call does nothing.
    func startLiveQueries(path: String, sink: LiveFeed) throws(WatchError) {
        // A caller that comes meanwhile waits: otherwise it would find an engine that is not connected yet.
        let result = liveStart.withLock { _ in
            Result { () throws(WatchError) in try startEngine(path: path, sink: sink) }
        }
        try result.get()
    }

    private func startEngine(path: String, sink: LiveFeed) throws(WatchError) {
        // Under the lock: a transaction that is published now is either before the position or passed to the engine.
        let engine: LiveQueryEngine? = state.withLock { state in
            guard state.liveQueries == nil, let watcher = state.watcher else { return nil }
            let engine = LiveQueryEngine(
                path: path,
                watcher: watcher,
                sink: sink,
                position: LivePosition(publisher.lastPosition),
                limits: limits.live,
                watcherLimits: limits.capture
            )
            state.liveQueries = engine
            return engine
        }
        guard let engine else { return }
        try engine.start()
        sink.connect(engine)
    }

    func stopLiveQueries() {
        let engine = state.withLock { state in
            defer { state.liveQueries = nil }
            return state.liveQueries
        }
        engine?.stop()
    }

    /// Raises the capture detail of each row to at least `level`, from the next transaction on. It is never lowered:
    /// clients that reconnect expect the detail that they had requested for the transactions meanwhile.
    func capture(atLeast level: CaptureLevel) {
        let watcher: DatabaseWatcher? = state.withLock { state in
            guard level > state.level else { return nil }
            state.level = level
            return state.watcher
        }
        watcher?.captureLevel = level
        publisher.keeper?.captured(atLeast: level)
    }
}

// MARK: - The writer's side

extension DatabaseFeed: CommitSink {
    var captureLevel: CaptureLevel { state.withLock { $0.level } }

    var readsLog: Bool { true }

    func willCommit() {
        if metrics.isTraced {
            let span = startSpan("tablecast.commit")
            commitSpan.withLock { $0 = span.isRecording ? span : nil }
        }
        watcher?.localCommits.willCommit()
    }

    func didNotCommit() {
        watcher?.localCommits.didNotCommit()
        endCommitSpan { $0.setStatus(SpanStatus(code: .error, message: "not committed")) }
    }

    func writerRests() { watcher?.localCommits.groupEnded() }

    /// There is one writer, and so at most one commit at a time.
    private func endCommitSpan(_ describe: (any Span) -> Void) {
        let span = commitSpan.withLock { span in
            defer { span = nil }
            return span
        }
        guard let span else { return }
        describe(span)
        span.end()
    }

    func committed(_ commit: ServiceCommit) -> CommitReceipt {
        endCommitSpan { span in
            span.attributes["tablecast.query.id"] = commit.queryId
            span.attributes["tablecast.rows"] = commit.changes.rowCount
        }
        let receipt = CommitReceipt()
        let (watcher, token) = state.withLock { state in
            state.lastToken += 1
            if state.watcher != nil { state.announced[state.lastToken] = Announced(commit: commit, receipt: receipt) }
            return (state.watcher, state.lastToken)
        }
        guard let watcher else {
            receipt.fulfil(publisher.publish(commit.changes, by: commit)?.description)
            return receipt
        }
        watcher.localCommits.didCommit(
            LocalCommitLedger.Commit(
                token: token,
                frameCount: commit.walFrameCount.map { UInt32(clamping: $0) },
                place: commit.place,
                changes: commit.changes
            ),
            isFollowed: commit.isFollowed
        )
        if commit.walFrameCount == nil {
            wait(for: token, of: watcher, atMost: Self.comparisonTimeout)
            receipt.fulfil(nil)
        } else if token > Self.maxUndelivered {
            wait(for: token - Self.maxUndelivered, of: watcher, atMost: Self.deliveryTimeout)
        }
        return receipt
    }

    private func wait(for token: UInt64, of watcher: DatabaseWatcher, atMost timeout: Duration) {
        guard !watcher.localCommits.waitUntilDelivered(token, atMost: timeout) else { return }
        logger.warning("a commit of the service was not delivered in time", metadata: ["token": "\(token)"])
    }
}

// MARK: - The watcher's side

extension DatabaseFeed: DatabaseEventSink {
    func receive(_ event: DatabaseEvent) {
        if case .transaction(let transaction) = event, transaction.isInBatch, waitsForBatch(transaction) { return }
        publishWaiting()
        switch event {
        case .transaction(let transaction):
            let announced = transaction.token.flatMap { token in
                state.withLock { $0.announced.removeValue(forKey: token) }
            }
            let published = publisher.publish(
                transaction.changes,
                by: announced?.commit,
                mark: transaction.logMark
            )
            if let published {
                logger.trace("transaction published", metadata: Self.metadata(published, transaction, announced))
            }
            let position = published ?? announced.flatMap { mergedPosition(of: $0.commit) }
            if let published { liveQueries?.receive(transaction, at: LivePosition(published)) }
            if let receipt = announced?.receipt {
                let commit = PublishedCommit(position: position?.description, syncFailure: transaction.syncFailure)
                answer(receipt, commit, later: transaction.isInBatch)
            }
        case .epochChanged(let reason):
            beginEpoch(reason)
            onStart(nil)
        case .databaseGone(let reason):
            state.withLock { $0.goneBecause = reason }
            // Users of the old file would continue to read it; once reopened, queries fail with the reason.
            onReopened()
            logger.error("the database is gone", metadata: ["reason": "\(reason)"])
            notify("database:gone", message: reason)
        case .databaseBack:
            state.withLock { $0.goneBecause = nil }
            logger.notice("the database is back")
            notify("database:back", message: "the database is available again")
        case .notice(let message):
            logger.notice("\(message)")
            notify("database:notice", message: message)
        }
    }

    func endOfBatch() {
        publishWaiting()
        answer()
    }

    /// Keeps a commit until ``endOfBatch()``, unless it must be published at once: a query waits for it, or the conditions of those
    /// before it are evaluated on another schema.
    private func waitsForBatch(_ transaction: CapturedTransaction) -> Bool {
        guard transaction.token == nil, case .rows? = transaction.changes.events.first else { return false }
        let isFull = unpublished.withLock { unpublished in
            unpublished.transactions.append(transaction)
            unpublished.rowCount += transaction.changes.rowCount
            return unpublished.transactions.count >= Self.maxUnpublished
                || unpublished.rowCount >= Self.maxUnpublishedRows
        }
        if isFull { publishWaiting() }
        return true
    }

    private func publishWaiting() {
        let transactions = unpublished.withLock { unpublished in
            defer { unpublished = ([], 0) }
            return unpublished.transactions
        }
        if transactions.isEmpty { return }
        let positions = publisher.publish(transactions)
        // Afterwards: live queries that start meanwhile begin at a position before all of these or after them.
        let liveQueries = liveQueries
        for (transaction, position) in zip(transactions, positions) {
            logger.trace("transaction published", metadata: Self.metadata(position, transaction, nil))
            liveQueries?.receive(transaction, at: LivePosition(position))
        }
    }

    /// The query that made the commit ends: at once, or with those of the other commits of the batch.
    private func answer(_ receipt: CommitReceipt, _ commit: PublishedCommit, later isInBatch: Bool) {
        let isDue = state.withLock { state in
            state.answers.append((receipt, commit))
            return !isInBatch || state.answers.count >= Self.maxAnswers
        }
        if isDue { answer() }
    }

    private func answer() {
        let answers = state.withLock { state in
            defer { state.answers = [] }
            return state.answers
        }
        if !answers.isEmpty { CommitReceipt.fulfil(answers) }
    }

    @discardableResult
    private func beginEpoch(_ reason: EpochReason) -> StartNotice {
        logger.warning(
            "a new epoch begins",
            metadata: ["reason": "\(reason.code.rawValue)", "message": "\(reason)"]
        )
        metrics.epochBegan(reason: reason.code.rawValue)
        publisher.beginEpoch()
        liveQueries?.epochChanged(to: LivePosition(publisher.lastPosition))
        // The path may name another file now.
        onReopened()
        return notify("database:epoch", message: "\(reason)", reason: reason.code)
    }

    private static func metadata(
        _ position: Position,
        _ transaction: CapturedTransaction,
        _ announced: Announced?
    ) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["position": "\(position)", "rows": "\(transaction.changes.rowCount)"]
        if let query = announced?.commit.queryId { metadata["query"] = "\(query)" }
        return metadata
    }

    /// The position of a writer's commit that is delivered without its changes: with a rollback journal it can be
    /// merged with commits of other processes into one transaction, and is delivered after it. Nil for a commit without
    /// changes.
    private func mergedPosition(of commit: ServiceCommit) -> Position? {
        commit.changes.isEmpty ? nil : publisher.lastPosition
    }

    /// Sends a message to every subscriber of `notifications`.
    @discardableResult
    private func notify(_ type: String, message: String, reason: EpochReason.Code? = nil) -> StartNotice {
        let type = MessageType(type)
        let header = EnvelopeHeader(type, channel: .notifications)
        func data(_ message: String) -> JSONValue {
            var data = ["message": JSONValue.string(message)]
            if let reason { data["reason"] = .string(reason.rawValue) }
            return .object(data)
        }
        func encoded(_ message: String) -> EncodedMessage {
            EncodedMessage(header, ServerPayload.custom(type, data(message)))
        }
        // SQLite's error for a file can name any of its tables.
        let notice = StartNotice(
            message: encoded(message),
            restricted: encoded("the details are hidden from a token with a list of tables")
        )
        hub.send(notice.message, to: .notifications) { _ in notice.restricted }
        onNotice.withLock { $0 }?(type, data(message))
        return notice
    }
}

extension DatabaseFeed: SchemaSink {
    func opened(_ tables: [TableDescription]) { publisher.rowFilters.replaceTables(tables) }
}

// MARK: - Restarts

extension DatabaseFeed: ContinuitySink {
    var keepsState: Bool { publisher.keeper != nil }

    func began(breach: EpochReason?) {
        let earlier = state.withLock { $0.earlier }
        // Afterwards the position is final.
        defer { state.withLock { $0.earlier = nil } }
        if let breach {
            onStart(beginEpoch(breach))
            return
        }
        publisher.resume(earlier?.transactions ?? [])
        liveQueries?.epochChanged(to: LivePosition(publisher.lastPosition))
        logger.info("the epoch of an earlier process goes on", metadata: ["position": "\(publisher.lastPosition)"])
    }

    func reached(_ mark: LogMark) { publisher.keeper?.reached(mark) }

    func sealed(_ seal: FileSeal) { publisher.keeper?.sealed(seal) }

    private func stateFailed(_ error: StateError) {
        let message = "no state is kept any more, and the next start begins a new epoch: \(error)"
        logger.error("\(message)")
        notify("database:notice", message: message)
    }
}
