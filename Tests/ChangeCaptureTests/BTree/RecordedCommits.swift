import ChangeCapture
import SQLiteConnection

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
    func next() throws -> [RecordedCommit] {
        let log = readBytes(path + "-wal")
        guard log.count >= WALHeader.byteCount else { return [] }
        return try log.withUnsafeBytes { log in
            var reader = try WALFrameReader(log)
            if reader.header.salt != salt {
                salt = reader.header.salt
                framesRead = 0
            }
            var commits: [RecordedCommit] = []
            var pending: [WALFrameReader.Frame] = []
            while let frame = reader.next() {
                guard frame.number > framesRead else { continue }
                pending.append(frame)
                guard frame.header.isCommit else { continue }
                let before = image
                let size = before.pageSize
                let end = Int(frame.header.pageCountAfterCommit) * size
                if end > bytes.count { bytes.append(contentsOf: repeatElement(0, count: end - bytes.count)) }
                for frame in pending {
                    let start = (Int(frame.header.pageNumber) - 1) * size
                    if start + size > bytes.count {
                        bytes.append(contentsOf: repeatElement(0, count: start + size - bytes.count))
                    }
                    bytes.replaceSubrange(
                        start..<start + size,
                        with: log[frame.pageOffset..<frame.pageOffset + size]
                    )
                }
                bytes.removeLast(bytes.count - end)
                image = try DatabaseImage(bytes)
                commits.append(
                    RecordedCommit(
                        before: before,
                        after: image,
                        changedPages: pending.map { $0.header.pageNumber }
                    )
                )
                framesRead = frame.number
                pending = []
            }
            return commits
        }
    }
}
