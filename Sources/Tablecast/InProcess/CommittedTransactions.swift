public import ChangeCapture
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
        let overflow = CommittedTransactions.Interruption.bufferOverflow(maxTransactions: maxBufferedTransactions)
        let stream = feed.publisher.observers.subscribe(maxBuffered: maxBufferedTransactions, overflow: overflow)
        return CommittedTransactions(stream: stream)
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
    ///
    /// Later versions can have further cases: handle those you need, and others with `default`.
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
