import SQLiteConnection

/// Decides whether somebody who does not use SQLite wrote over the database file of a log.
///
/// In WAL mode nothing but a checkpoint writes that file. One that has frames to copy says how far it means to get before its
/// first write, and how far it got after its last one; and it has frames to copy only after a commit, which changes the
/// header. So between two looks that find the same header, the same progress and nothing under way, nobody had a reason to
/// write the file. Whoever sets its time, as `touch` does, cannot be told from one who wrote it.
///
/// Source: [WAL-Index Checkpoint Information](https://sqlite.org/walformat.html).
struct OverwriteDetector {
    struct Look: Equatable {
        var header: WALIndexHeader
        var backfilledFrameCount: UInt32
        var stamp: FileStamp
    }

    private var last: Look?

    /// Whether the last look says nothing of a write that comes now.
    func isOutdated(_ header: WALIndexHeader, backfilledFrameCount: UInt32) -> Bool {
        last?.header != header || last?.backfilledFrameCount != backfilledFrameCount
    }

    /// - Parameter look: nil where the file may be written at this very moment.
    mutating func isOverwritten(_ look: Look?) -> Bool {
        defer { last = look }
        guard let last, let look, last.header == look.header else { return false }
        return last.backfilledFrameCount == look.backfilledFrameCount && last.stamp != look.stamp
    }
}
