import SQLiteConnection

/// Decides whether something other than SQLite wrote over the database file of a log.
///
/// In WAL mode nothing but a checkpoint writes that file; a commit does not. A checkpoint that has frames to copy says how far
/// it means to get before its first write, and how far it got after its last one. So between two looks with nothing under way
/// that find the same number of frames copied, SQLite did not write the file, however many commits there were. The frames
/// are counted over all generations of the log: one that starts again has copied everything before. A program that sets the
/// file's time, as `touch` does, cannot be told from one that wrote it.
///
/// Source: [WAL-Index Checkpoint Information](https://sqlite.org/walformat.html).
struct OverwriteDetector {
    /// What was seen at one moment.
    struct Look: Equatable {
        /// Of this generation of the log.
        var copiedFrameCount: UInt32
        var stamp: FileStamp
    }

    private var last: (copiedFrameCount: UInt64, stamp: FileStamp)?
    /// Of the generations of the log before this one.
    private var earlierFrameCount: UInt64 = 0

    /// A writer began the log again, after this frame and all before it had been copied.
    mutating func logRestarted(afterFrame count: UInt32) { earlierFrameCount += UInt64(count) }

    /// Whether the file was written without a checkpoint since the last look.
    ///
    /// - Parameters:
    ///   - look: taken while no checkpoint was under way.
    ///   - isCheckpointing: asked when the file was written: whether a checkpoint is under way after all.
    mutating func isOverwritten(_ look: Look, isCheckpointing: () -> Bool) -> Bool {
        let copied = earlierFrameCount + UInt64(look.copiedFrameCount)
        guard let last, last.stamp != look.stamp else {
            // A checkpoint can have written within the tick of the file system's clock.
            self.last = (copied, look.stamp)
            return false
        }
        if isCheckpointing() { return false }
        self.last = (copied, look.stamp)
        return last.copiedFrameCount == copied
    }
}
