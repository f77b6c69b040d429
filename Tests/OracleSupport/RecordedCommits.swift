package import ChangeCapture
import SQLiteConnection

/// One commit as the log recorded it, with the whole database before and after.
package struct RecordedCommit {
    package var before: DatabaseImage
    package var after: DatabaseImage
    package var changedPages: [UInt32]

    package init(before: DatabaseImage, after: DatabaseImage, changedPages: [UInt32]) {
        self.before = before
        self.after = after
        self.changedPages = changedPages
    }
}

/// Reads commits of a database in WAL mode only from its files. The log must not restart twice between two calls.
package final class RecordedCommits {
    package struct Unreadable: Error, CustomStringConvertible {
        package let description: String
        init(_ description: String) { self.description = description }
    }

    private let path: String
    package private(set) var image: DatabaseImage
    private var bytes: [UInt8]
    private var framesRead: UInt32 = 0
    private var salt: WALSalt?

    package init(path: String) throws {
        self.path = path
        bytes = TemporaryFiles.bytes(of: path)
        image = try DatabaseImage(bytes)
        _ = try next()
    }

    /// The commits since the last call.
    ///
    /// The wal-index defines how far the log is committed, not the frames' checksums: SQLite 3.40 leaves some of them
    /// zero.
    package func next() throws -> [RecordedCommit] {
        let index = TemporaryFiles.bytes(of: path + "-shm").withUnsafeBytes { WALIndexHeader(pair: $0) }
        let log = TemporaryFiles.bytes(of: path + "-wal")
        guard let index, index.isInitialized, index.maxFrame > 0, log.count >= WALHeader.byteCount else { return [] }
        if index.salt != salt {
            salt = index.salt
            framesRead = 0
        }
        return try log.withUnsafeBytes { log in
            let header = try WALHeader(log)
            guard header.salt == index.salt else { throw Unreadable("the log is not that of its index") }
            var commits: [RecordedCommit] = []
            var frames: [(page: UInt32, offset: Int)] = []
            while framesRead < index.maxFrame {
                framesRead += 1
                let offset = header.offset(ofFrame: framesRead)
                guard let frame = WALFrameHeader(UnsafeRawBufferPointer(rebasing: log[offset...])) else {
                    throw Unreadable("frame \(framesRead) is not whole")
                }
                frames.append((frame.pageNumber, offset + WALFrameHeader.byteCount))
                guard frame.isCommit else { continue }
                let before = image
                for frame in frames { replacePage(frame.page, with: log, at: frame.offset) }
                setPageCount(frame.pageCountAfterCommit)
                image = try DatabaseImage(bytes)
                commits.append(RecordedCommit(before: before, after: image, changedPages: frames.map(\.page)))
                frames = []
            }
            guard frames.isEmpty else { throw Unreadable("frames without a commit") }
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

extension DatabaseImage {
    /// The pages of `after` that differ here.
    package func differences(from after: DatabaseImage) -> [UInt32] {
        (1...after.pageCount).filter { number in
            let range = (Int(number) - 1) * pageSize..<Int(number) * pageSize
            return number > pageCount || bytes[range] != after.bytes[range]
        }
    }
}
