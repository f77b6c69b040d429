package import SQLiteConnection

/// Where a captured commit ends in the write-ahead log, so that a later process finds it again.
package struct LogMark: Hashable, Sendable {
    /// The generation of the log.
    package var salt: WALSalt
    package var lastFrame: UInt32
    /// The checksum of the last frame, which covers every frame of the generation before it.
    package var checksum: WALChecksum
    /// The size of the database in pages.
    package var pageCount: UInt32

    package init(salt: WALSalt, lastFrame: UInt32, checksum: WALChecksum, pageCount: UInt32) {
        self.salt = salt
        self.lastFrame = lastFrame
        self.checksum = checksum
        self.pageCount = pageCount
    }

    init(_ frame: WALFrameHeader, number: UInt32, salt: WALSalt) {
        self.init(salt: salt, lastFrame: number, checksum: frame.checksum, pageCount: frame.pageCountAfterCommit)
    }
}

/// The database file at a time at which it was complete without its log. While the seal fits, the file is unchanged.
package struct FileSeal: Hashable, Sendable {
    package var identity: FileIdentity
    package var byteCount: Int64
    /// The modification time.
    package var seconds: Int64
    package var nanoseconds: Int64
    /// The checksum of the database's header.
    package var header: WALChecksum
    /// The size of the database in pages.
    package var pageCount: UInt32

    package init(
        identity: FileIdentity,
        byteCount: Int64,
        seconds: Int64,
        nanoseconds: Int64,
        header: WALChecksum,
        pageCount: UInt32
    ) {
        self.identity = identity
        self.byteCount = byteCount
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.header = header
        self.pageCount = pageCount
    }

    /// Nil for a file that was written so recently that another write could leave the same time.
    ///
    /// The caller prevents writes to the file, or compares its content between two equal stamps.
    init?(_ stamp: FileStamp, _ file: DatabaseFile) {
        guard stamp.isConclusive else { return nil }
        self.init(current: stamp, file)
    }

    /// The file as it is, however recently it was written: to compare with an earlier seal.
    init?(current stamp: FileStamp, _ file: DatabaseFile) {
        let found = withUnsafeTemporaryAllocation(byteCount: DatabaseHeader.byteCount, alignment: 8) { bytes in
            // A file that cannot be read has no seal.
            guard (try? file.read(into: bytes, at: 0)) != nil else { return nil as (WALChecksum, UInt32)? }
            var checksum = WALChecksum()
            checksum.add(UnsafeRawBufferPointer(bytes), in: .littleEndian)
            guard let header = try? DatabaseHeader(UnsafeRawBufferPointer(bytes)) else { return nil }
            return (checksum, UInt32(clamping: stamp.byteCount / Int64(header.pageSize)))
        }
        guard let (checksum, pageCount) = found else { return nil }
        self.init(
            identity: stamp.identity,
            byteCount: stamp.byteCount,
            seconds: Int64(stamp.seconds),
            nanoseconds: Int64(stamp.nanoseconds),
            header: checksum,
            pageCount: pageCount
        )
    }
}

/// The state of a database after the last commit that an earlier process published: what a later one can continue from.
package struct CapturedState: Hashable, Sendable {
    /// Nil when no log has had a frame since the beginning of the epoch.
    package var log: LogMark?
    /// Nil when the file was never seen complete since that commit.
    package var seal: FileSeal?
    /// The boot of the system at the start of the earlier process; nil when it is unknown.
    package var boot: String?

    /// The database file at the start of the earlier process; nil when it is unknown.
    package var file: FileIdentity?

    package init(log: LogMark? = nil, seal: FileSeal? = nil, boot: String? = nil, file: FileIdentity? = nil) {
        self.log = log
        self.seal = seal
        self.boot = boot
        self.file = file
    }

    /// Becomes the state after a later commit.
    package mutating func reach(_ mark: LogMark?) {
        log = mark
        seal = nil
    }
}

/// A sink that keeps the captured state, so that a later process can continue from it. Called like
/// ``DatabaseEventSink/receive(_:)``.
package protocol ContinuitySink: DatabaseEventSink {
    /// Whether the captured state is kept at all; constant.
    var keepsState: Bool { get }

    /// The first opening of the file by a watcher that was given the state of an earlier process, before any transaction.
    ///
    /// - Parameter breach: why the changes do not join those of the earlier process; nil when they do: then every commit made
    ///   meanwhile follows as a transaction.
    func began(breach: EpochReason?)

    /// Every commit up to this one was delivered; those without changes are not delivered.
    func reached(_ mark: LogMark)

    /// The database file itself has the state after the last commit that was delivered.
    func sealed(_ seal: FileSeal)
}
