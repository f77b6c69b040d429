/// What a query that ran to its end says.
package struct QueryOutcome: Sendable {
    /// Rows delivered, over all statements.
    package var rowCount: Int
    /// From submission to the end.
    package var duration: Duration
    /// Rows that its INSERT, UPDATE and DELETE statements changed by themselves, not through triggers or foreign keys.
    package var changes: Int64
    /// The rowid of the last row inserted, when a statement inserted one.
    package var lastInsertRowid: Int64?
    /// Rows beyond the limits were left out.
    package var truncated: Bool
    /// What the ``CommitSink`` promised for the last commit the query made; nil when it made none.
    package var receipt: String?
    /// The client has a transaction open.
    package var inTransaction: Bool
}
