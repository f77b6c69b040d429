/// What the decisions about the log look at.
struct LogStatus: Equatable {
    /// Committed frames in the log.
    var frameCount: UInt32
    /// Those of them that are in the database file already.
    var backfilledFrameCount: UInt32
    /// Our pin holds the lock of readers who need no frame, so that the log can be restarted.
    var isPinnedToDatabaseOnly: Bool

    var isBackfilled: Bool { backfilledFrameCount == frameCount }
}
