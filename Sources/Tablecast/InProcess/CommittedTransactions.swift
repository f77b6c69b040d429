public import ChangeCapture
import Synchronization
public import WireProtocol

extension TablecastService {
    /// Every transaction from now on, in commit order, whichever process committed it: the events of `tables`
    /// subscribers, as values instead of messages.
    ///
    /// ```swift
    /// for try await transaction in service.changes() {
    ///     for case .rows(let rows) in transaction.changes.events {
    ///         print(transaction.position, rows.table.name, rows.inserted, rows.updated, rows.deleted)
    ///     }
    /// }
    /// ```
    ///
    /// The subscription begins with this call and ends with the iteration. It never skips a transaction: if it would
    /// have to, it ends with an error.
    ///
    /// - Parameter maxBufferedTransactions: how many transactions the reader may fall behind.
    public func changes(maxBufferedTransactions: Int = 10_000) -> CommittedTransactions {
        feed.capture(atLeast: .values)
        return feed.publisher.observers.subscribe(maxBufferedTransactions: maxBufferedTransactions)
    }
}

/// A published transaction.
public struct CommittedTransaction: Sendable {
    public let position: Position
    public let changes: ChangeSet
    /// The user whose query committed it; nil for a commit of another process.
    public let userID: String?
    public let username: String?
    public let queryID: String?
}

/// The transactions of ``TablecastService/changes(maxBufferedTransactions:)``. Can be iterated once.
public struct CommittedTransactions: AsyncSequence, Sendable {
    public typealias Element = CommittedTransaction
    public typealias Failure = any Error

    /// Why the sequence ended.
    public enum Interruption: Error, Sendable, Hashable {
        /// A new epoch began: the changes in between are unknown. Read the tables again, then call `changes()` again.
        case newEpoch
        /// The reader fell behind by more than the buffer holds.
        case bufferOverflow(maxTransactions: Int)
    }

    fileprivate let stream: AsyncThrowingStream<CommittedTransaction, any Error>

    public func makeAsyncIterator() -> Iterator { Iterator(base: stream.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var base: AsyncThrowingStream<CommittedTransaction, any Error>.Iterator

        public mutating func next() async throws -> CommittedTransaction? { try await base.next() }
    }
}

/// The receivers of transactions in this process. Thread-safe.
final class TransactionObservers: Sendable {
    private typealias Continuation = AsyncThrowingStream<CommittedTransaction, any Error>.Continuation

    private struct Observer {
        let continuation: Continuation
        let maxTransactions: Int
    }

    private struct State {
        var lastID = 0
        var observers: [Int: Observer] = [:]
    }

    private let state = Mutex(State())

    func subscribe(maxBufferedTransactions: Int) -> CommittedTransactions {
        let (stream, continuation) = AsyncThrowingStream<CommittedTransaction, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(maxBufferedTransactions)
        )
        let id = state.withLock { state in
            state.lastID += 1
            state.observers[state.lastID] = Observer(
                continuation: continuation,
                maxTransactions: maxBufferedTransactions
            )
            return state.lastID
        }
        continuation.onTermination = { [weak self] _ in self?.remove(id) }
        return CommittedTransactions(stream: stream)
    }

    private func remove(_ id: Int) { state.withLock { _ = $0.observers.removeValue(forKey: id) } }

    private var all: [Observer] {
        state.withLock { state in state.observers.isEmpty ? [] : Array(state.observers.values) }
    }

    func publish(_ transaction: @autoclosure () -> CommittedTransaction) {
        let observers = all
        if observers.isEmpty { return }
        let transaction = transaction()
        for observer in observers {
            if case .dropped = observer.continuation.yield(transaction) {
                let error = CommittedTransactions.Interruption.bufferOverflow(maxTransactions: observer.maxTransactions)
                observer.continuation.finish(throwing: error)
            }
        }
    }

    /// Ends all sequences: with the reason, or without one at shutdown.
    func finish(_ reason: CommittedTransactions.Interruption?) {
        for observer in all { observer.continuation.finish(throwing: reason) }
    }
}
