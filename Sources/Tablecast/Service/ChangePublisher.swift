import Broadcast
import ChangeCapture
import QueryService
import Synchronization
import WireProtocol

/// Gives committed transactions their positions and publishes them. Thread-safe: the lock is what makes the order of
/// positions the order of publication.
final class ChangePublisher: Sendable {
    private let hub: Hub
    private let databaseName: String
    private let position: Mutex<Position>
    /// Receive the transactions in this process.
    let observers = TransactionObservers()
    /// For the conditions of subscriptions.
    let rowFilters = RowFilters()

    init(hub: Hub, databaseName: String) {
        self.hub = hub
        self.databaseName = databaseName
        position = Mutex(hub.position)
    }

    /// Of the last transaction that was published.
    var lastPosition: Position { position.withLock { $0 } }

    /// Publishes a transaction and returns its position; nil for one that changed nothing.
    ///
    /// Must be called in the order of commits.
    func publish(_ changes: ChangeSet, by author: ServiceCommit? = nil) -> Position? {
        if changes.isEmpty { return nil }
        return position.withLock { position in
            position = position.next
            rowFilters.note(changes)
            let context = TableEventContext(
                userID: author?.userId,
                username: author?.username,
                queryID: author?.queryId,
                database: databaseName,
                origin: changes.origin == .service ? .service : .external
            )
            hub.publish(
                TransactionPublication(
                    TransactionMessages(
                        changes: changes,
                        position: position,
                        timestamp: UnixTime.milliseconds,
                        context: context,
                        rowFilters: rowFilters
                    )
                )
            )
            observers.publish(
                CommittedTransaction(
                    position: position,
                    changes: changes,
                    userID: author?.userId,
                    username: author?.username,
                    queryID: author?.queryId
                )
            )
            return position
        }
    }

    /// Continuity is broken: clients must begin anew.
    func beginEpoch() {
        position.withLock { position in
            position = Position(epoch: Epoch.make(), sequence: 0)
            hub.reset(to: position)
            observers.finish(.newEpoch)
        }
    }
}
