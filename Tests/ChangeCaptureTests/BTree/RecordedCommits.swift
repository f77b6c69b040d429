import ChangeCapture
import SQLiteConnection
import Testing

/// One commit as the log recorded it, with the whole database before and after.
struct RecordedCommit {
    var before: DatabaseImage
    var after: DatabaseImage
    var changedPages: [UInt32]
}

/// Reads commits out of a database in WAL mode by its files alone; nothing of it is checkpointed unless ``checkpoint(_:)``
/// is asked to.
final class RecordedCommits {
    private let path: String
    private(set) var image: DatabaseImage
    private var bytes: [UInt8]
    private var framesRead: UInt32 = 0
    private var salt: WALSalt?

    init(path: String) throws {
        self.path = path
        bytes = readBytes(path)
        image = try DatabaseImage(bytes)
        _ = try next()
    }

    /// The commits since the last call.
    ///
    /// The wal-index says how far the log is committed, not the frames' checksums: SQLite 3.40 leaves some of them zero.
    func next() throws -> [RecordedCommit] {
        let index = readBytes(path + "-shm").withUnsafeBytes { WALIndexHeader(pair: $0) }
        let log = readBytes(path + "-wal")
        guard let index, index.isInitialized, index.maxFrame > 0, log.count >= WALHeader.byteCount else { return [] }
        if index.salt != salt {
            salt = index.salt
            framesRead = 0
        }
        return try log.withUnsafeBytes { log in
            let header = try WALHeader(log)
            #expect(header.salt == index.salt)
            var commits: [RecordedCommit] = []
            var frames: [(page: UInt32, offset: Int)] = []
            while framesRead < index.maxFrame {
                framesRead += 1
                let offset = header.offset(ofFrame: framesRead)
                let frame = try #require(WALFrameHeader(UnsafeRawBufferPointer(rebasing: log[offset...])))
                frames.append((frame.pageNumber, offset + WALFrameHeader.byteCount))
                guard frame.isCommit else { continue }
                let before = image
                for frame in frames { replacePage(frame.page, with: log, at: frame.offset) }
                setPageCount(frame.pageCountAfterCommit)
                image = try DatabaseImage(bytes)
                commits.append(RecordedCommit(before: before, after: image, changedPages: frames.map(\.page)))
                frames = []
            }
            #expect(frames.isEmpty, "frames without a commit")
            return commits
        }
    }

    private func replacePage(_ number: UInt32, with log: UnsafeRawBufferPointer, at offset: Int) {
        let size = image.pageSize
        let start = (Int(number) - 1) * size
        if start + size > bytes.count { setPageCount(number) }
        bytes.replaceSubrange(start..<start + size, with: log[offset..<offset + size])
    }

    private func setPageCount(_ count: UInt32) {
        let end = Int(count) * image.pageSize
        if end > bytes.count { bytes.append(contentsOf: repeatElement(0, count: end - bytes.count)) }
        bytes.removeLast(bytes.count - end)
    }
}
