package import ChangeCapture

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
