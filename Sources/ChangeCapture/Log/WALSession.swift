import SQLiteConnection

/// Captures the commits of one database file in WAL mode, from its opening until it is closed, replaced or lost.
///
/// Runs only on the watcher's thread. The article "Commits of other processes" explains why it works.
final class WALSession: WatchSession {
    private let watched: WatchedFile
    private let pins: SnapshotPins
    private let store: PageStore
    private let capture: CommitCapture
    private let checkpointer: Checkpointer
    private var restarter: WALRestarter?
    private let probe: LockProbe?

    private var pin: SnapshotPins.Pin
    /// The last captured commit. The pin can be ahead of it, or behind it: see ``captureNext(_:)``.
    private var captured: WALIndexHeader
    private var position: SnapshotReader
    private var commitCount = 0

    private var reads = PendingSnapshotReads()
    private var pacing: WakePacing
    private var repin = RepinPolicy()
    private var checkpoints: CheckpointPolicy
    private var stall: StallDetector
    private let inspection: FileInspection

    let breach: EpochReason?
    /// Held from the start until the commits since the earlier process are reported.
    private var logGuard: LogGuard?
    /// The last captured commit of the log, and whether the sink has been notified that the file is complete with it.
    private var mark: LogMark?
    private var isSealed = false
    private var lastCapture = ContinuousClock.now
    /// When the file is checked next.
    private var nextInspection = ContinuousClock.now

    /// Opens the file and pins its newest commit; everything after it is reported.
    ///
    /// - Parameter earlier: the state of an earlier process: everything after it is reported if all of it is known.
    init(_ watched: WatchedFile, continuing earlier: CapturedState? = nil) throws(WatchError) {
        self.watched = watched
        let (path, file, limits) = (watched.path, watched.file, watched.limits)
        guard let index = try WatchError.wrap({ () throws(SQLiteError) in try file.walIndex() }) else {
            throw .discontinuity(.stateLost("the write-ahead log has no index"))
        }
        let indexIdentity = file.indexIdentity
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
        capture = try CommitCapture(position, limits: limits)
        checkpointer = try Checkpointer(path: path)
        probe = LockProbe(databasePath: file.path)
        pacing = WakePacing(limits: limits)
        checkpoints = CheckpointPolicy(limits: limits)
        stall = StallDetector(limits: limits)
        inspection = FileInspection(watched, pins, store, probe, indexIdentity: indexIdentity, captured: captured)
        watched.delivery.own.log.open(databasePath: file.path)
        // After a recovery it is unknown what an earlier checkpoint copied; after another checkpoint it is known.
        if pins.isBeingBackfilled { checkpointer.request() }
    }

    var tables: [TableDescription] { capture.tables }

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

    /// Releases everything.
    func close() {
        logGuard?.release()
        watched.delivery.putBack(reads.abandon())
        checkpointer.stop()
        restarter?.close()
        pins.close()
        watched.file.close()
    }

    /// Captures until the watcher is stopped or the path names another file.
    func run() throws(WatchError) -> SessionEnd {
        try reportMissed()
        while true {
            if watched.delivery.isStopped {
                try prepareRestart()
                return .stopped
            }
            if let end = try step() { return end }
        }
    }

    /// One check of the log, and the actions that follow from it.
    private func step() throws(WatchError) -> SessionEnd? {
        watched.delivery.own.awaitGroupEnd()
        // This precedes any read from the file, so that nothing is published from an overwritten file.
        if let fault = checkFile() { return try end(fault) }
        watched.delivery.runJobs(at: position)
        beginReads()
        reads.delivered(salt: captured.salt, lastFrame: captured.maxFrame)
        guard let header = pins.header() else {
            try recoverTornHeader()
            return nil
        }
        if !header.isSameCommit(as: captured) {
            let known = commitCount
            try captureNext(header)
            let now = ContinuousClock.now
            lastCapture = now
            pacing.captured(at: now)
            checkpoints.captured(commits: commitCount - known, at: now)
            try restartIfNeeded(at: now)
            return nil
        }
        watched.delivery.deliverLateCommits { pins.header()?.isSameCommit(as: captured) ?? false }
        let now = ContinuousClock.now
        if let fault = try inspection.checkCompanions(progress, at: now) { return try end(fault) }
        if awaitBurst(at: now) { return nil }
        if !pin.header.isSameCommit(as: captured), now - lastCapture >= Self.olderPinMaxPause {
            // Others' checkpoints should not wait for the older pin.
            try captureNew()
            return nil
        }
        let status = status(header)
        if repin.shouldRepin(status, at: now) {
            try captureNew()
            return nil
        }
        if checkpoints.shouldCheckpoint(status, at: now) { checkpointer.request() }
        seal(status)
        if let probe, stall.shouldProbe(status, at: now),
            stall.shouldStepAside(isLockHeld: probe.isHeldByOthers(.checkpoint), status, at: now)
        {
            try stepAside()
            return nil
        }
        rest(status, at: now)
        return nil
    }

    /// Before each capture, but within a burst, and while there is nothing to capture, once in ``inspectionInterval``: a check takes as
    /// long as a quarter of a commit.
    private func checkFile() -> FileInspection.Fault? {
        let now = ContinuousClock.now
        let isComplete = pins.header()?.isSameCommit(as: captured) ?? false
        if now < nextInspection, checkpoints.isBurst || isComplete { return nil }
        nextInspection = now + Self.inspectionInterval
        return inspection.checkFile(captured)
    }

    /// Sleeps briefly while a writer without pauses is expected to commit again. While it goes on, the system reports no writes: that
    /// would cost the writer.
    ///
    /// - Returns: whether the next check of the log must follow at once.
    private func awaitBurst(at now: ContinuousClock.Instant) -> Bool {
        guard checkpoints.isBurst, now - lastCapture < Self.burstPause else {
            guard !watched.events.reportsWrites else { return false }
            watched.events.reportsWrites = true
            // A commit since the last check may not have been reported.
            return true
        }
        watched.events.reportsWrites = false
        nap(watched.limits.eagerPollInterval)
        return true
    }

    /// After so much time without a commit a burst is over.
    private static let burstPause: Duration = .milliseconds(1)
    private static let inspectionInterval: Duration = .microseconds(250)

    private var progress: FileInspection.Progress {
        FileInspection.Progress(
            captured: captured,
            pageCount: position.pageCount,
            isDatabaseComplete: pin.isDatabaseComplete && pin.header.isSameCommit(as: captured)
        )
    }

    /// Ends the session because of what happened to the file.
    private func end(_ fault: FileInspection.Fault) throws(WatchError) -> SessionEnd {
        switch fault {
        case .displaced(let reason):
            try captureNew()
            return .broken(reason)
        case .overwritten: return .broken(.overwritten)
        }
    }

    private func rest(_ status: LogStatus, at now: ContinuousClock.Instant) {
        switch pacing.next(at: now) {
        case .nap(let duration):
            nap(duration)
            if watched.events.drain() { noteEvent() }
        case .wait(var duration):
            if let deadline = repin.deadline { duration = min(duration, max(.zero, deadline - now)) }
            if stall.isSuspicious { duration = min(duration, watched.limits.stallProbeInterval) }
            if watched.events.wait(atMost: duration) { noteEvent() }
        }
    }

    private func status(_ header: WALIndexHeader) -> LogStatus {
        LogStatus(
            frameCount: header.maxFrame,
            backfilledFrameCount: pins.backfilledFrameCount,
            isPinnedToDatabaseOnly: pin.isDatabaseOnly,
            isUnsynced: watched.delivery.own.log.hasFailed
        )
    }

    /// The frames of commits that follow the captured ones in the log.
    private var uncapturedFrameCount: UInt32 {
        guard let header = pins.header(), header.salt == captured.salt else { return 0 }
        return header.maxFrame - min(header.maxFrame, captured.maxFrame)
    }

    private func noteEvent() {
        let now = ContinuousClock.now
        pacing.woke(at: now)
        if watched.events.takeFilesChanged() { inspection.companionsChanged(at: now) }
    }

    // MARK: Capturing

    /// Reports the next commits up to `header`, with the pin as it is if that keeps them readable.
    ///
    /// Not all at once: when the writer is faster, each step would leave more commits to the next one, and the length of the log is
    /// only looked at between two steps.
    ///
    /// A pin on a frame keeps the log from restarting, so a later commit needs no pin of its own: under a writer without
    /// pauses this saves the locks of a read transaction for every few commits, and while the pin stays no checkpoint has
    /// anything to copy. After each 1,000 frames, every commit of that writer would otherwise copy a frame and wait for the disk.
    /// With pauses it saves the locks while the log is short: see ``PinReach``.
    private func captureNext(_ header: WALIndexHeader) throws(WatchError) {
        let isBurst = checkpoints.isBurst
        let reach = PinReach.maxFrameCount(isBurst: isBurst, logFrameCount: header.maxFrame, watched.limits)
        guard !pin.isDatabaseOnly, header.salt == pin.header.salt, reach > 0 else { return try captureNew() }
        guard captured.maxFrame - min(captured.maxFrame, pin.header.maxFrame) >= reach else {
            return try report(upTo: header, atMost: Self.maxFramesOfStep)
        }
        // Everything up to a new pin is reported at once.
        if isBurst, uncapturedFrameCount > reach { try holdBackAndCatchUp() } else { try captureNew() }
    }

    private static let maxFramesOfStep = 256

    /// An older pin is replaced after so much time without a commit.
    private static let olderPinMaxPause: Duration = .milliseconds(2)

    /// Pins the newest commit, reports every commit up to it, and releases the previous pin.
    private func captureNew() throws(WatchError) {
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
    private func report(upTo header: WALIndexHeader, atMost frameCount: Int = .max) throws(WatchError) {
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
            restarter?.commitWillBeDecoded(frameCount: pages.count) { pins.header()?.maxFrame ?? 0 }
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
            return try capture.changes(
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

    private func recoverTornHeader() throws(WatchError) {
        let deadline = ContinuousClock.now + watched.limits.tornHeaderPatience
        while pins.header() == nil {
            if ContinuousClock.now > deadline {
                // Starting a read transaction makes SQLite recover the index.
                try captureNew()
                return
            }
            nap(watched.limits.eagerPollInterval)
        }
    }

    // MARK: Continuity with other processes

    /// Reports the commits made between an earlier process and the opening, and where the capture begins.
    private func reportMissed() throws(WatchError) {
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
        if !pin.header.isSameCommit(as: captured) {
            try report(upTo: pin.header)
            if let mark { watched.delivery.continuity?.reached(mark) }
        }
        if pin.isDatabaseComplete { store.forgetFrames(next: captured.maxFrame + 1) }
    }

    /// Notifies the sink when the file itself has the captured state, and the pin keeps it unchanged.
    private func seal(_ status: LogStatus) {
        guard !isSealed, status.isBackfilled, pin.isDatabaseOnly, pin.header.isSameCommit(as: captured),
            let sink = watched.delivery.continuity, let stamp = FileStamp(path: watched.path),
            stamp.identity == watched.identity, let seal = FileSeal(stamp, watched.file)
        else { return }
        isSealed = true
        sink.sealed(seal)
    }

    /// Copies the log into the file and seals it, so that a later process can continue whether the log is still there or not.
    /// Other processes that commit without pauses wait for at most ``sealWait``. Skipped when one is in the way for
    /// longer: then the log is needed.
    private func prepareRestart() throws(WatchError) {
        let deadline = ContinuousClock.now + watched.limits.restartPreparation
        guard watched.delivery.continuity != nil, !watched.file.isReadOnly, ContinuousClock.now < deadline,
            let restarter = openRestarter()
        else { return }
        defer { restarter.unlock() }
        while ContinuousClock.now < deadline {
            guard FileIdentity(path: watched.path) == watched.identity, pins.header() != nil else { return }
            // Most often no writer is active, and no lock is needed.
            restarter.prepare()
            try captureNew()
            seal(status(captured))
            if isSealed { return }
            if restarter.lock(), try catchUp(restarter) {
                restarter.finish()
                try captureNew()
                sealLater()
            }
            restarter.unlock()
            if isSealed { return }
            nap(.milliseconds(2))
        }
    }

    /// Longer than ``FileStamp`` takes to be conclusive.
    private static let sealWait: Duration = .milliseconds(40)

    /// Waits until the time of the last write to the file is conclusive, while the write lock prevents another one.
    private func sealLater() {
        let deadline = ContinuousClock.now + Self.sealWait
        while true {
            seal(status(captured))
            guard !isSealed, ContinuousClock.now < deadline else { return }
            nap(.milliseconds(1))
        }
    }

    // MARK: Keeping the log short

    private func restartIfNeeded(at now: ContinuousClock.Instant) throws(WatchError) {
        let step = checkpoints.restartStep(
            status(captured),
            uncapturedFrameCount: uncapturedFrameCount,
            isCheckpointing: checkpointer.isBusy,
            at: now
        )
        switch step {
        case .wait: return
        case .prepare:
            // The checkpoint copies up to the pin.
            try captureNew()
            checkpointer.request()
        case .slowDown:
            guard let restarter = openRestarter(), restarter.lock() else { return }
            nap(watched.limits.forcedRestartMaxCatchUp)
            restarter.unlock()
        case .catchUp: try holdBackAndCatchUp()
        case .force(let isPrepared): try forceRestart(isPrepared: isPrepared)
        }
    }

    /// Captures everything, while the writers have the lock only in turns.
    private func holdBackAndCatchUp() throws(WatchError) {
        guard let restarter = openRestarter(), restarter.lock() else { return try captureNew() }
        defer { restarter.unlock() }
        _ = try catchUp(restarter)
    }

    private func forceRestart(isPrepared: Bool) throws(WatchError) {
        guard let restarter = openRestarter() else {
            checkpoints.forcedRestart(succeeded: false, at: .now)
            return
        }
        defer { restarter.unlock() }
        if !isPrepared { restarter.prepare() }
        guard restarter.lock(), try catchUp(restarter) else {
            checkpoints.forcedRestart(succeeded: false, at: .now)
            return
        }
        restarter.finish()
        waitForViews { restarter.finish() }
        try captureNew()
        let isRestarted = pin.isDatabaseOnly && !watched.delivery.hold.isInTheWay(of: captured)
        checkpoints.forcedRestart(succeeded: isRestarted, at: .now)
    }

    /// Nil when the file cannot be opened.
    private func openRestarter() -> WALRestarter? {
        // The log stays as it is then.
        if restarter == nil { restarter = try? WALRestarter(path: watched.path, limits: watched.limits) }
        return restarter
    }

    /// Captures until no commit is left while the write lock is held. True when that succeeded in time.
    ///
    /// The lock is released whenever it was held for long: see ``WALRestarter``.
    private func catchUp(_ restarter: WALRestarter) throws(WatchError) -> Bool {
        let deadline = ContinuousClock.now + watched.limits.forcedRestartLockWait * 10
        while true {
            try captureNew()
            if restarter.isLocked, pins.header()?.isSameCommit(as: captured) == true { return true }
            if ContinuousClock.now > deadline { return false }
            if !restarter.isLocked {
                restarter.waitForWriter { pins.header()?.maxFrame ?? 0 }
                _ = restarter.lock()
            }
        }
    }

    /// Gives those who follow this watcher time to come to the commit that is captured, and to keep no frame of the log. What they
    /// evaluate may take longer, and goes on while writers do.
    private func waitForViews(_ copyRest: () -> Void) {
        let deadline = ContinuousClock.now + watched.limits.forcedRestartViewWait
        while watched.delivery.hold.isInTheWay(of: captured), ContinuousClock.now < deadline {
            nap(.microseconds(100))
            if pins.backfilledFrameCount < captured.maxFrame { copyRest() }
        }
    }

    /// Leaves the read mark that another process's checkpoint waits for, without a gap.
    private func stepAside() throws(WatchError) {
        // While this lock is held nothing is copied into the database file, so the log cannot be restarted.
        guard watched.file.tryLockShared(.readDatabaseOnly) else { return }
        defer { watched.file.unlockShared(.readDatabaseOnly) }
        let deadline = ContinuousClock.now + watched.limits.stallMaxAside
        pin = try pins.withoutPin {
            while ContinuousClock.now < deadline, probe?.isHeldByOthers(.checkpoint) == true {
                guard let header = pins.header(), header.isSameCommit(as: captured) else { return }
                nap(.milliseconds(1))
            }
        }
        // Commits made meanwhile are reported before the lock is released: until then the file does not change.
        if !pin.header.isSameCommit(as: captured) {
            try report(upTo: pin.header)
            if let mark { watched.delivery.continuity?.reached(mark) }
        }
    }
}
