package import ChangeCapture
package import SQLiteConnection
import Synchronization

/// Receives a query's results.
///
/// Called on the service's threads, one call at a time and in order: `started`, then for each statement with columns
/// `columns` and its rows, `endOfBatch` and `progress` anywhere between, and at the end exactly one of `completed`,
/// `failed` and `cancelled`, which can also come first. No call may block or wait for another query.
package protocol QuerySink: AnyObject, Sendable {
    /// The query begins to run. `readOnly` means that it cannot change the database.
    func started(readOnly: Bool)

    func columns(statementIndex: Int, names: [String])

    /// A row; its values are valid during the call. Returns the size of its encoding in bytes, which the limits count.
    func row(_ statement: borrowing Statement) -> Int

    /// The row that a ``RowWrite`` wrote, or with which it conflicts. Not called for SQL.
    func row(_ image: RowImage)

    /// The last passed row exceeds the limit of a row, and must not be sent. The query fails next.
    func takeBackRow()

    /// The results passed so far should be sent now. The service reads ``isWritable`` next.
    func endOfBatch()

    /// Whether the sink accepts more results now. When it is false the query sleeps until ``QueryHandle/resume()``, and
    /// reads it again.
    var isWritable: Bool { get }

    func progress(_ progress: QueryProgress)

    /// Whether the sink holds back its first messages, to send them with the next ones, until ``announce()``.
    var holdsBack: Bool { get }

    /// The query has run for a while: sends what is held back. Called on any thread, at any time, also after the end.
    func announce()

    func completed(_ outcome: QueryOutcome)
    func failed(_ failure: QueryFailure)
    func cancelled(_ cancellation: QueryCancellation)
}

extension QuerySink {
    package func row(_ image: RowImage) {}
    package var holdsBack: Bool { false }
    package func announce() {}
}

/// Receives every transaction that the service committed, in commit order.
///
/// Every call comes on the writer's thread.
package protocol CommitSink: AnyObject, Sendable {
    /// The capture detail of the next transaction.
    var captureLevel: CaptureLevel { get }

    /// Whether the sink reads the changes of a commit from the write-ahead log, if there is one: then
    /// ``ServiceCommit/changes`` is empty.
    var readsLog: Bool { get }

    /// A commit begins; it can still fail. ``committed(_:)`` or ``didNotCommit()`` follows.
    func willCommit()

    /// The commit that had begun failed, or wrote nothing.
    func didNotCommit()

    /// A commit that has happened. With a rollback journal it is durable; in a write-ahead log the sink syncs it, if
    /// ``readsLog`` is true, before it fulfils the receipt. Called before anything else is written: while this call waits,
    /// the writer waits too.
    ///
    /// - Returns: a receipt with an opaque position, which goes into ``QueryOutcome/receipt``. The query ends for its
    ///   sink once the receipt is fulfilled; the writer continues meanwhile.
    func committed(_ commit: ServiceCommit) -> CommitReceipt

    /// The writer has nothing more to run after a commit with ``ServiceCommit/isFollowed``.
    func writerRests()
}

extension CommitSink {
    package var captureLevel: CaptureLevel { .values }
    package var readsLog: Bool { false }
    package func willCommit() {}
    package func didNotCommit() {}
    package func writerRests() {}
}

/// A transaction that the service committed.
package struct ServiceCommit: Sendable {
    /// Its changes; can be empty, for instance after `UPDATE t SET v = v`.
    package var changes: ChangeSet
    /// The number of frames in the write-ahead log after it; nil outside of WAL mode, and when it wrote nothing.
    package var walFrameCount: Int?
    /// Its place in a file with a rollback journal; nil when it wrote nothing.
    package var place: CommitPlace?
    package var queryId: String
    package var client: ClientKey
    package var userId: String?
    package var username: String?
    /// Queries wait for the writer: the sink may wait for their commits, to publish them together, until
    /// ``CommitSink/writerRests()``.
    package var isFollowed = false
}

/// What became of a commit of the service.
package struct PublishedCommit: Sendable {
    /// An opaque position in the order of commits; nil when it is not known.
    package var position: String?
    /// Why the commit may not survive a loss of power.
    package var syncFailure: SQLiteError?

    package init(position: String?, syncFailure: SQLiteError? = nil) {
        self.position = position
        self.syncFailure = syncFailure
    }
}

/// A promise of the position of one commit, fulfilled by the component that publishes commits, on any thread.
package final class CommitReceipt: Sendable {
    private typealias Waiter = (owner: any CommitReceiptOwner, query: UInt64)

    private enum State {
        case waiting([Waiter])
        case known(PublishedCommit)
    }

    private let state: Mutex<State>

    package init() { state = Mutex(.waiting([])) }

    package init(known position: String?) { state = Mutex(.known(PublishedCommit(position: position))) }

    /// Sets the position; nil when it will not be known. The first call counts.
    ///
    /// - Parameter syncFailure: why the commit may not survive a loss of power.
    package func fulfil(_ position: String?, syncFailure: SQLiteError? = nil) {
        Self.fulfil([(self, PublishedCommit(position: position, syncFailure: syncFailure))])
    }

    /// Fulfils several receipts, and notifies the owner of their queries once.
    package static func fulfil(_ receipts: [(receipt: CommitReceipt, commit: PublishedCommit)]) {
        var owner: (any CommitReceiptOwner)?
        var commits: [UInt64: PublishedCommit] = [:]
        for (receipt, commit) in receipts {
            for waiter in receipt.settle(commit) {
                if let owner, owner !== waiter.owner {
                    owner.published(commits)
                    commits = [:]
                }
                owner = waiter.owner
                commits[waiter.query] = commit
            }
        }
        owner?.published(commits)
    }

    private func settle(_ commit: PublishedCommit) -> [Waiter] {
        state.withLock { state in
            guard case .waiting(let waiting) = state else { return [] }
            state = .known(commit)
            return waiting
        }
    }

    /// Notifies the owner once: immediately when the position is known, else on the thread that fulfils the receipt.
    package func notify(_ owner: any CommitReceiptOwner, of query: UInt64) {
        let known = state.withLock { state -> PublishedCommit? in
            switch state {
            case .known(let commit): return commit
            case .waiting(let waiting):
                state = .waiting(waiting + [(owner, query)])
                return nil
            }
        }
        if let known { owner.published([query: known]) }
    }
}

/// Ends queries when the positions of their commits are known. Called on any thread; must not block.
package protocol CommitReceiptOwner: AnyObject, Sendable {
    /// - Parameter commits: the last commits of queries, by the numbers of the queries.
    func published(_ commits: [UInt64: PublishedCommit])
}
