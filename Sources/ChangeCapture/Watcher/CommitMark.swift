/// The state of a database in WAL mode after one commit, by its place in the write-ahead log.
package struct CommitMark: Hashable, Sendable {
    /// The generation of the log.
    package let salt: WALSalt
    /// The last frame of the commit; 0 where nothing of the log counts.
    package let lastFrame: UInt32
    /// The size of the database in pages.
    package let pageCount: UInt32

    init(salt: WALSalt, lastFrame: UInt32, pageCount: UInt32) {
        self.salt = salt
        self.lastFrame = lastFrame
        self.pageCount = pageCount
    }

    init(_ reader: SnapshotReader) {
        self.init(salt: reader.salt, lastFrame: reader.lastFrame, pageCount: reader.pageCount)
    }

    /// Whether every frame of `header` is part of this state, so far as both are of one generation.
    func includes(_ header: WALIndexHeader) -> Bool { salt == header.salt && lastFrame >= header.maxFrame }
}
