/// For each page the frames of the write-ahead log that hold it, in the current generation of the log.
///
/// A generation is the time between two restarts of the log. Frames before ``firstFrame`` are not indexed, because all of
/// them are known to be in the database file.
struct FrameIndex {
    /// The number of the first frame that the index covers; frames are numbered from 1.
    private(set) var firstFrame: UInt32 = 1
    /// For each page its last frame; 0 for none.
    private var lastFrame = PageTable()
    /// For each frame the one before it of the same page, and its page.
    private var previous: [UInt32] = []
    private var page: [UInt32] = []

    /// The number of the next frame.
    var nextFrame: UInt32 { firstFrame + UInt32(page.count) }

    mutating func append(page number: UInt32) {
        let frame = nextFrame
        previous.append(lastFrame[number])
        page.append(number)
        lastFrame[number] = frame
    }

    /// The newest frame of a page that is not after `limit`; nil when the page is as in the database file.
    @inline(__always)
    func frame(of number: UInt32, upTo limit: UInt32) -> UInt32? {
        var frame = lastFrame[number]
        while frame > limit { frame = previous[Int(frame - firstFrame)] }
        return frame == 0 ? nil : frame
    }

    /// Removes all frames; the next one appended has the given number.
    mutating func removeAll(next frame: UInt32) {
        for number in page { lastFrame[number] = 0 }
        page.removeAll(keepingCapacity: page.count < 1 << 16)
        previous.removeAll(keepingCapacity: previous.count < 1 << 16)
        firstFrame = frame
    }
}
