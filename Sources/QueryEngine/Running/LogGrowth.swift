/// Decides when the writer tries to checkpoint the log: once it has grown by a number of frames since the last attempt.
///
/// A passive checkpoint can leave the log as long as it was, because readers need its frames. Then an attempt after every
/// commit would cost two syncs each and copy next to nothing.
struct LogGrowth {
    private var frameCount = 0
    /// The length at the last attempt; 0 when the log has begun again since.
    private var attemptedFrameCount = 0

    /// A commit left the log with this number of frames.
    mutating func committed(frameCount: Int) {
        if frameCount < self.frameCount { attemptedFrameCount = 0 }
        self.frameCount = frameCount
    }

    /// Whether to try a checkpoint now; the answer `true` counts as an attempt.
    mutating func takeAttempt(everyFrames threshold: Int) -> Bool {
        guard frameCount - attemptedFrameCount >= threshold else { return false }
        attemptedFrameCount = frameCount
        return true
    }
}
