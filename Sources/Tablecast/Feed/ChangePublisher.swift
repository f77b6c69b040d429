import Broadcast
import ChangeCapture
import QueryEngine
import StateStore
import Synchronization
import Tracing
import WireProtocol

/// Assigns positions to committed transactions and publishes them. Thread-safe: the lock makes the order of publication
/// equal to the order of positions.
final class ChangePublisher: Sendable {
    private let hub: Hub
    private let databaseName: String
    private let metrics: ServiceMetrics
    private let position: Mutex<Position>
    /// The receivers of transactions in this process.
    let observers = Observers<CommittedTransaction>()
    /// The filters of subscriptions with a condition.
    let rowFilters: RowFilters
    /// Keeps the transactions through restarts; nil when nothing is kept.
    let keeper: StateKeeper?

    init(
        hub: Hub,
        databaseName: String,
        metrics: ServiceMetrics,
        rowFilters: RowFilters,
        keeper: StateKeeper? = nil
    ) {
        self.rowFilters = rowFilters
        self.keeper = keeper
        self.hub = hub
        self.databaseName = databaseName
        self.metrics = metrics
        position = Mutex(hub.position)
    }

    /// The position of the last published transaction.
    var lastPosition: Position { position.withLock { $0 } }

    /// Publishes a transaction and returns its position; nil for one without changes.
    ///
    /// Call it in the order of commits.
    ///
    /// - Parameter mark: where the commit is in the write-ahead log, for a later process to continue from it.
    func publish(_ changes: ChangeSet, by author: ServiceCommit? = nil, mark: LogMark? = nil) -> Position? {
        if changes.isEmpty { return nil }
        if let time = changes.decodingNanoseconds { trace(decodingNanoseconds: time, of: changes) }
        let start = ContinuousClock.now
        let published =
            metrics.isTraced
            ? withSpan("tablecast.publish", ofKind: .producer) { span in
                let published = number(changes, by: author, mark)
                span.attributes["tablecast.position"] = published.description
                return published
            } : number(changes, by: author, mark)
        metrics.published(
            byService: changes.origin == .service,
            rowChanges: changes.rowCount,
            in: ContinuousClock.now - start
        )
        return published
    }

    /// The watcher measures the time, so that capture depends on no tracer. The span ends here: a transaction is published
    /// as soon as it is decoded.
    private func trace(decodingNanoseconds: Int64, of changes: ChangeSet) {
        metrics.decoded(in: .nanoseconds(decodingNanoseconds))
        guard metrics.isTraced else { return }
        let end = DefaultTracerClock.now.nanosecondsSinceEpoch
        let start = end - min(end, UInt64(max(decodingNanoseconds, 0)))
        let span = startSpan("tablecast.decode", at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: start))
        if span.isRecording { span.attributes["tablecast.rows"] = changes.rowCount }
        span.end(at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: end))
    }

    /// Publishes transactions of other processes that follow one another: they are recorded with one write.
    ///
    /// Precondition: each has changes, and none changes the schema.
    ///
    /// - Returns: their positions.
    func publish(_ transactions: [CapturedTransaction]) -> [Position] {
        guard transactions.count > 1, !metrics.isTraced else {
            return transactions.compactMap { publish($0.changes, mark: $0.logMark) }
        }
        let start = ContinuousClock.now
        let positions = position.withLock { position in
            let messages = transactions.map { transaction in
                let messages = nextMessages(transaction.changes, by: nil, &position)
                keeper?.record(messages, transaction.logMark, isFollowed: true)
                return messages
            }
            keeper?.flush()
            hub.publish(messages)
            for messages in messages { notifyObservers(messages, by: nil) }
            return messages.map(\.position)
        }
        let elapsed = (ContinuousClock.now - start) / transactions.count
        for transaction in transactions {
            if let time = transaction.changes.decodingNanoseconds { metrics.decoded(in: .nanoseconds(time)) }
            metrics.published(byService: false, rowChanges: transaction.changes.rowCount, in: elapsed)
        }
        return positions
    }

    private func number(_ changes: ChangeSet, by author: ServiceCommit?, _ mark: LogMark?) -> Position {
        position.withLock { position in
            let messages = nextMessages(changes, by: author, &position)
            // First: a client must not know of a transaction that a later process does not.
            keeper?.record(messages, mark)
            hub.publish(messages)
            notifyObservers(messages, by: author)
            return position
        }
    }

    /// The messages of the next transaction.
    private func nextMessages(
        _ changes: ChangeSet,
        by author: ServiceCommit?,
        _ position: inout Position
    ) -> TransactionMessages {
        position = position.next
        rowFilters.note(changes)
        let context = TableEventContext(
            userID: author?.userId,
            username: author?.username,
            queryID: author?.queryId,
            database: databaseName,
            origin: changes.origin == .service ? .service : .external
        )
        return TransactionMessages(
            changes: changes,
            position: position,
            timestamp: UnixTime.milliseconds,
            context: context,
            rowFilters: rowFilters
        )
    }

    private func notifyObservers(_ messages: TransactionMessages, by author: ServiceCommit?) {
        observers.publish(
            CommittedTransaction(
                position: messages.position,
                changes: messages.changes,
                userID: author?.userId,
                username: author?.username,
                queryID: author?.queryId
            )
        )
    }

    /// Begins a new epoch: continuity is broken, and clients must start again.
    func beginEpoch() {
        position.withLock { position in
            position = keeper?.beginEpoch() ?? Position(epoch: Epoch.make(), sequence: 0)
            hub.reset(to: position)
            observers.finish(CommittedTransactions.Interruption.newEpoch)
        }
    }

    /// Continues the epoch of an earlier process with its transactions.
    func resume(_ transactions: [StoredTransaction]) {
        guard let keeper else { return }
        position.withLock { position in
            let (head, earlier) = keeper.resume()
            position = head
            // Without a gap up to the last one.
            var publications: [any Publication] = []
            publications.reserveCapacity(transactions.count)
            var published = keeper.published
            for stored in transactions {
                let publication = StoredPublication(
                    stored,
                    position: head.at(stored.record.sequence),
                    firstPosition: published.position(of: stored.record.sequence),
                    databaseName: databaseName,
                    rowFilters: rowFilters
                )
                if let publication { publications.append(publication) } else { publications.removeAll() }
            }
            if publications.last?.position != head { publications.removeAll() }
            hub.restore(
                RestoredHistory(
                    head: head,
                    publications: publications,
                    earlierEpochs: earlier,
                    time: UnixTime.milliseconds
                )
            )
            observers.finish(CommittedTransactions.Interruption.newEpoch)
        }
    }
}
