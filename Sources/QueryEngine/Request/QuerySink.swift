package import ChangeCapture
package import SQLiteConnection
import Synchronization

/// Where a query's results go.
///
/// Called on threads of the service's, and at the end on that which keeps a ``CommitReceipt``; one call at a time and in
/// order: `started`, then for each statement with columns `columns` and its rows, `endOfBatch` and `progress` anywhere
/// between, and at the end exactly one of `completed`, `failed` and `cancelled`, which can also come first. No call may block,
/// and none may wait for another query.
package protocol QuerySink: AnyObject, Sendable {
    /// The query begins to run. `readOnly` says that it cannot change the database.
    func started(readOnly: Bool)

    func columns(statementIndex: Int, names: [String])

    /// A row; its values are borrowed for the call. Returns how many bytes it became, which the limits count.
    func row(_ statement: borrowing Statement) -> Int

    /// The row that a ``RowWrite`` wrote, or that it conflicts with. Not called for SQL.
    func row(_ image: RowImage)

    /// The row that was passed just now is longer than rows may be, and must not go out. The query fails next.
    func takeBackRow()

    /// What was passed so far should go out now. The service asks ``isWritable`` next.
    func endOfBatch()

    /// Whether more may follow at once. When it is false the query sleeps until ``QueryHandle/resume()``, and asks again.
    var isWritable: Bool { get }

    func progress(_ progress: QueryProgress)

    func completed(_ outcome: QueryOutcome)
    func failed(_ failure: QueryFailure)
    /// - Parameter inTransaction: as in ``QueryFailure/inTransaction``.
    func cancelled(_ reason: CancelReason, rowCount: Int, duration: Duration, inTransaction: Bool?)
}

extension QuerySink {
    package func row(_ image: RowImage) {}
}

/// Told of every transaction that the service committed, in commit order.
///
/// Every call comes on the writer's thread.
package protocol CommitSink: AnyObject, Sendable {
    /// How much of each row the next transaction is captured with.
    var captureLevel: CaptureLevel { get }

    /// Whether it reads from the write-ahead log, where there is one, what a commit changed: then
    /// ``ServiceCommit/changes`` is empty.
    var readsLog: Bool { get }

    /// A commit begins; it can still fail. ``committed(_:)`` or ``didNotCommit()`` follows.
    func willCommit()

    /// The commit that had begun failed, or wrote nothing.
    func didNotCommit()

    /// A commit that is durable by the database's settings. Called before anything else is written: while it waits, so does
    /// the writer.
    ///
    /// - Returns: the promise of an opaque position, which goes into ``QueryOutcome/receipt``. The query ends for its sink
    ///   once it is fulfilled, and the writer goes on meanwhile.
    func committed(_ commit: ServiceCommit) -> CommitReceipt
}

extension CommitSink {
    package var captureLevel: CaptureLevel { .values }
    package var readsLog: Bool { false }
    package func willCommit() {}
    package func didNotCommit() {}
}

/// A transaction that the service committed.
package struct ServiceCommit: Sendable {
    /// What it changed; can be empty, for instance after `UPDATE t SET v = v`.
    package var changes: ChangeSet
    /// The frames in the write-ahead log after it; nil outside of WAL mode, and when it wrote nothing.
    package var walFrameCount: Int?
    package var queryId: String
    package var client: ClientKey
    package var userId: String?
    package var username: String?
}

/// A promise of the position of one commit, kept by whoever tells others of commits; on any thread.
package final class CommitReceipt: Sendable {
    private enum State {
        case waiting([@Sendable (String?) -> Void])
        case known(String?)
    }

    private let state: Mutex<State>

    package init() { state = Mutex(.waiting([])) }

    package init(known position: String?) { state = Mutex(.known(position)) }

    /// Says at what position it was; nil when that will not be known. The first call counts.
    package func fulfil(_ position: String?) {
        let waiting = state.withLock { state -> [@Sendable (String?) -> Void] in
            guard case .waiting(let waiting) = state else { return [] }
            state = .known(position)
            return waiting
        }
        for body in waiting { body(position) }
    }

    /// Calls `body` once: at once where the position is known, else on the thread of ``fulfil(_:)``.
    package func whenKnown(_ body: @escaping @Sendable (String?) -> Void) {
        let known = state.withLock { state -> String?? in
            switch state {
            case .known(let position): return .some(position)
            case .waiting(let waiting):
                state = .waiting(waiting + [body])
                return nil
            }
        }
        if let known { body(known) }
    }
}

/// Whose turn it is to speak to a query's sink, which hears one call at a time: its own thread's, except while that is within
/// SQLite, where it can be for seconds without asking anybody. Then somebody else may end the query for it.
final class SinkOwnership: Sendable {
    private enum Turn: UInt8, AtomicRepresentable {
        case thread
        case nobody
        case other
    }

    private let turn = Atomic(Turn.thread)

    /// On the query's thread, which says nothing before ``takeBack()``.
    @inline(__always)
    func letGo() { turn.store(.nobody, ordering: .releasing) }

    /// On the query's thread; false when the query was ended for it, and nothing may be said any more.
    @inline(__always)
    func takeBack() -> Bool {
        turn.compareExchange(expected: .nobody, desired: .thread, ordering: .acquiring).original != .other
    }

    /// On another thread; false when the query's own may be speaking.
    func takeOver() -> Bool {
        turn.compareExchange(expected: .nobody, desired: .other, ordering: .acquiring).exchanged
    }
}
