package import SQLiteConnection

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
