/// How far a running query is.
package struct QueryProgress: Sendable, Hashable {
    /// The estimated share of the time, from 0 to 0.99; nil where there is no honest estimate. Never smaller than in the
    /// report before.
    package var fraction: Double?
    /// What it does, in a few words.
    package var message: String
    /// Rows delivered so far.
    package var rowCount: Int
    /// Since submission.
    package var elapsed: Duration
    /// How many rows it will read, where that is known.
    package var estimatedTotal: Int?
}
