package import ChangeCapture

/// What a ``QueryService`` works on.
package struct ServiceConfiguration: Sendable {
    /// The database's file name, or a URI.
    package var path: String
    package var isURI = false
    package var limits = QueryLimits()
    /// Every query that writes begins with `PRAGMA foreign_keys = ON`, which SQLite itself leaves off.
    package var enforcesForeignKeys = false
    /// Frames in the write-ahead log after which the writer runs a PASSIVE checkpoint between two queries; nil when
    /// somebody else does.
    package var checkpointFrames: Int? = 1_000

    /// What a transaction's capture may hold in memory; how much it keeps of each row is for the ``CommitSink`` to say.
    package var captureLimits = CaptureLimits()

    package init(path: String) { self.path = path }
}
