import SQLiteConnection

/// The commits of a log: keeps the last captured one readable, decodes those after it, and delivers them in order.
///
/// One thread at a time.
final class LogCapture {
    private let watched: WatchedFile
    let pins: SnapshotPins
    let probe: LockProbe?
    let inspection: FileInspection
    private let store: PageStore
    private let decoder: CommitCapture

    private(set) var pin: SnapshotPins.Pin
    /// The last captured commit. The pin can be ahead of it, or behind it: see ``WALSession``.
    private(set) var captured: WALIndexHeader
    private(set) var position: SnapshotReader
    private(set) var commitCount = 0
    private var reads = PendingSnapshotReads()

    /// Why it does not continue from the state of an earlier process; nil when it does.
    let breach: EpochReason?
    /// Held from the start until the commits since the earlier process are reported.
    private var logGuard: LogGuard?
    /// The last captured commit of the log, and whether the sink has been notified that the file is complete with it.
    private var mark: LogMark?
    private(set) var isSealed = false
    /// Called before a commit of so many frames is decoded.
    var willDecode: ((_ frameCount: Int) -> Void)?

    /// Opens the file and pins its newest commit; everything after it is reported.
    ///
    /// - Parameter earlier: the state of an earlier process: everything after it is reported if all of it is known.
    init(_ watched: WatchedFile, continuing earlier: CapturedState? = nil) throws(WatchError) {
        self.watched = watched
        let (path, file, limits) = (watched.path, watched.file, watched.limits)
        guard let index = try WatchError.wrap({ () throws(SQLiteError) in try file.walIndex() }) else {
            throw .discontinuity(.stateLost("the write-ahead log has no index"))
        }
        let logFiles = file.logFiles
        let logGuard = earlier == nil ? nil : try LogGuard(path: path, limits: limits)
        pins = try SnapshotPins(path: path, file: file, index: index, limits: limits)
        store = try PageStore(file: file, maxCacheBytes: limits.maxPageCacheBytes)
        pin = try pins.pinNext()
        pins.advance()
        captured = pin.header
        var continuation: Continuation?
        var breach: EpochReason?
        if let earlier {
            (continuation, breach) = Self.continuation(of: earlier, watched, logGuard, pins, store, pin)
        }
        self.breach = breach
        if let continuation {
            self.logGuard = logGuard
            captured.maxFrame = continuation.lastFrame
            if continuation != .file, let mark = earlier?.log { captured.pageCount = mark.pageCount }
        } else {
            logGuard?.release()
        }
        if continuation == nil, pin.isDatabaseComplete {
            store.forgetFrames(next: captured.maxFrame + 1)
        } else {
            while store.nextFrame <= captured.maxFrame {
                _ = try store.indexNextFrame(salt: captured.salt, upTo: captured.maxFrame)
            }
        }
        let filePageCount = try store.filePageCount()
        if continuation == .file { captured.pageCount = filePageCount }
        let pageCount = captured.maxFrame > 0 ? captured.pageCount : filePageCount
        try store.check(pageCount: pageCount, known: filePageCount, frameCount: Int(captured.maxFrame))
        position = SnapshotReader(
            store: store,
            salt: captured.salt,
            lastFrame: captured.maxFrame,
            pageCount: pageCount
        )
        decoder = try CommitCapture(position, limits: limits)
        probe = LockProbe(databasePath: file.path)
        inspection = FileInspection(watched, pins, store, probe, logFiles: logFiles, captured: captured)
        watched.delivery.own.log.open(databasePath: file.path)
    }

    /// Releases everything but the file.
    func close() {
        logGuard?.release()
        watched.delivery.putBack(reads.abandon())
        pins.close()
    }

    /// The tables that clients can see.
    var tables: [TableDescription] { decoder.tables }

    /// The last frame of the log, captured or not.
    var lastFrame: UInt32 { pins.header()?.maxFrame ?? 0 }

    /// Whether no commit is left.
    var isComplete: Bool { pins.header()?.isSameCommit(as: captured) ?? false }

    var isPinned: Bool { pin.header.isSameCommit(as: captured) }

    /// The frames of commits that follow the captured ones in the log.
    var uncapturedFrameCount: UInt32 {
        guard let header = pins.header(), header.salt == captured.salt else { return 0 }
        return header.maxFrame - min(header.maxFrame, captured.maxFrame)
    }

    /// How many captured frames follow the pin.
    var frameCountAheadOfPin: UInt32 { captured.maxFrame - min(captured.maxFrame, pin.header.maxFrame) }

    var progress: FileInspection.Progress {
        FileInspection.Progress(
            captured: captured,
            pageCount: position.pageCount,
            isDatabaseComplete: pin.isDatabaseComplete && isPinned,
            mark: mark
        )
    }

    // MARK: Capturing

    /// Pins the newest commit, reports every commit up to it, and releases the previous pin.
    func captureNew() throws(WatchError) {
        let next = try pins.pinNext()
        do {
            if !next.header.isSameCommit(as: captured) { try report(upTo: next.header) }
            // Before the old pin is released: until then no checkpoint copies what a later process could not prove.
            if let mark { watched.delivery.continuity?.reached(mark) }
        } catch {
            pins.abandonNext()
            throw error
        }
        pins.advance()
        pin = next
        if next.isDatabaseComplete {
            // The log may be written from its beginning now: no frame of it may be read any more.
            store.forgetFrames(next: captured.maxFrame + 1)
        }
    }

    /// - Parameter frameCount: the report ends with the commit that reaches so many frames.
    func report(upTo header: WALIndexHeader, atMost frameCount: Int = .max) throws(WatchError) {
        if header.salt != captured.salt {
            // The log was restarted, at most once since the last pin, and only after every captured frame had been
            // copied into the database file, which no process could write since.
            store.forgetFrames(next: 1)
            inspection.logRestarted(afterFrame: captured.maxFrame)
            watched.delivery.own.log.logRestarted()
            position = SnapshotReader(store: store, salt: header.salt, lastFrame: 0, pageCount: position.pageCount)
            // A writer that restarts the log publishes it empty, before its commit, and a read may have begun in
            // between.
            reads.delivered(salt: header.salt, lastFrame: 0)
        } else if header.maxFrame < captured.maxFrame {
            throw .discontinuity(
                EpochReason(
                    .logRecovered,
                    """
                    the write-ahead log was recovered to an earlier commit: it went back from frame \(captured.maxFrame) to \
                    \(header.maxFrame)
                    """
                )
            )
        }
        // Read after the header: see LocalCommitLedger. Commits of other processes that follow an own one wait with it for the
        // sync of the log, which keeps the order.
        let own = watched.delivery.announcedCommits()
        defer { watched.delivery.endBatch() }
        let first = store.nextFrame
        var header = header
        var pages: [UInt32] = []
        var writesHeader = false
        while store.nextFrame <= header.maxFrame {
            let frame = try store.indexNextFrame(salt: header.salt, upTo: header.maxFrame)
            pages.append(frame.pageNumber)
            writesHeader = writesHeader || frame.pageNumber == 1
            guard frame.isCommit else { continue }
            let after = SnapshotReader(
                store: store,
                salt: header.salt,
                lastFrame: store.nextFrame - 1,
                pageCount: frame.pageCountAfterCommit
            )
            try store.check(pageCount: after.pageCount, known: position.pageCount, frameCount: pages.count)
            if writesHeader { try store.checkHeader(upTo: after.lastFrame) }
            writesHeader = false
            willDecode?(pages.count)
            // Nothing that was delivered waits until a large commit is decoded.
            if pages.count > Self.maxBatchedFrames { watched.delivery.endBatch() }
            let changes = try decode(pages, to: after)
            position = after
            commitCount += 1
            mark = LogMark(frame, number: after.lastFrame, salt: header.salt)
            isSealed = false
            watched.delivery.deliver(
                changes,
                own: own.first { $0.frameCount == after.lastFrame },
                at: after,
                logMark: mark,
                isInBatch: true
            )
            beginReads()
            // What a sink received in a batch may have no effect until the batch ends.
            if !reads.isEmpty { watched.delivery.endBatch() }
            reads.delivered(salt: header.salt, lastFrame: after.lastFrame)
            pages.removeAll(keepingCapacity: true)
            if Int(store.nextFrame - first) >= frameCount {
                header.maxFrame = after.lastFrame
                header.pageCount = after.pageCount
            }
        }
        guard pages.isEmpty else { throw .undecodable("the log ends with \(pages.count) frames without a commit") }
        captured = header
    }

    private func decode(_ pages: [UInt32], to after: SnapshotReader) throws(WatchError) -> ChangeSet {
        do throws(WatchError) {
            return try decoder.changes(
                pages: pages,
                evidence: .frames,
                from: position,
                to: after,
                level: watched.delivery.captureLevel
            )
        } catch {
            // The system could not read the page: this is not a decoding error.
            throw store.readFailure.map { .sqlite($0) } ?? error
        }
    }

    private func beginReads() {
        for request in watched.delivery.takeReads() { reads.add(request, path: watched.path) }
        reads.begin(header: pins.header)
    }

    /// A commit of more frames is not decoded in the same batch as those before it.
    private static let maxBatchedFrames = 64

    /// Begins the reads that were requested, and answers those whose state is captured.
    func answerReads() {
        beginReads()
        reads.delivered(salt: captured.salt, lastFrame: captured.maxFrame)
    }

    /// Releases the pin while `body` runs; then pins the newest commit and reports every commit up to it.
    ///
    /// Leaves no gap when the caller holds ``WALLock/readDatabaseOnly`` meanwhile.
    func withoutPin(_ body: () -> Void) throws(WatchError) {
        pin = try pins.withoutPin(body)
        try reportPinned()
    }

    private func reportPinned() throws(WatchError) {
        if isPinned { return }
        try report(upTo: pin.header)
        if let mark { watched.delivery.continuity?.reached(mark) }
    }

    // MARK: Continuity with other processes

    /// Reports the commits made between an earlier process and the opening, and where the capture begins.
    func reportMissed() throws(WatchError) {
        if captured.maxFrame > 0, let frame = store.frameHeader(captured.maxFrame) {
            let mark = LogMark(frame, number: captured.maxFrame, salt: captured.salt)
            self.mark = mark
            watched.delivery.continuity?.reached(mark)
        }
        guard let logGuard else { return }
        defer {
            logGuard.release()
            self.logGuard = nil
        }
        try reportPinned()
        if pin.isDatabaseComplete { store.forgetFrames(next: captured.maxFrame + 1) }
    }

    /// Notifies the sink when the file itself has the captured state, and the pin keeps it unchanged.
    func seal(_ status: LogStatus) {
        guard !isSealed, status.isBackfilled, pin.isDatabaseOnly, isPinned,
            let sink = watched.delivery.continuity, let stamp = FileStamp(path: watched.path),
            stamp.identity == watched.identity, let seal = FileSeal(stamp, watched.file)
        else { return }
        isSealed = true
        sink.sealed(seal)
    }

    private static func continuation(
        of earlier: CapturedState,
        _ watched: WatchedFile,
        _ logGuard: LogGuard?,
        _ pins: SnapshotPins,
        _ store: PageStore,
        _ pin: SnapshotPins.Pin
    ) -> (Continuation?, EpochReason?) {
        guard logGuard != nil else {
            return (nil, ContinuityCheck.reason("another process held the write-ahead log exclusively"))
        }
        let stamp = FileStamp(path: watched.path)
        // A process that is killed writes a page of the system's memory completely or not at all; a loss of power can leave a part.
        let comparesPages = store.pageSize <= 4096 && earlier.boot != nil && earlier.boot == BootIdentity.current
        let findings = LogFindings(
            salt: pin.header.salt,
            lastFrame: pin.header.maxFrame,
            copiedFrameCount: pins.possiblyCopiedFrameCount,
            seal: stamp.flatMap { FileSeal(current: $0, watched.file) },
            frame: { store.frameHeader($0) },
            differs: comparesPages ? { store.differs($0, from: $1) } : nil
        )
        do {
            return (try ContinuityCheck(state: earlier, findings: findings).continuation(), nil)
        } catch {
            return (nil, error.reason)
        }
    }
}
