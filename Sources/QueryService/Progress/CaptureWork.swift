/// What capturing the rows that a statement writes adds to the time until its query is over.
struct CaptureWork: Hashable, Sendable {
    /// How many of the rows are kept; the rest is counted, which is quicker.
    var keptRows = 0
    /// Once committed, everything is read again from the write-ahead log.
    var readsLog = false
}
