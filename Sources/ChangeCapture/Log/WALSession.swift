import SQLiteConnection

/// Captures the commits of one database file in WAL mode, from its opening until it is closed, replaced or lost.
///
/// Runs only on the watcher's thread. The article "Commits of other processes" explains why it works.
final class WALSession: WatchSession {
    private let watched: WatchedFile
    private let capture: LogCapture
    private let restart: LogRestart
    private let checkpointer: Checkpointer

    private var pacing: WakePacing
    private var repin = RepinPolicy()
    private var checkpoints: CheckpointPolicy
    private var stall: StallDetector
    private var lastCapture = ContinuousClock.now
    /// When the file is checked next.
    private var nextInspection = ContinuousClock.now

    /// Opens the file and pins its newest commit; everything after it is reported.
    ///
    /// - Parameter earlier: the state of an earlier process: everything after it is reported if all of it is known.
    init(_ watched: WatchedFile, continuing earlier: CapturedState? = nil) throws(WatchError) {
        self.watched = watched
        capture = try LogCapture(watched, continuing: earlier)
        restart = LogRestart(watched, capture)
        checkpointer = try Checkpointer(path: watched.path)
        pacing = WakePacing(limits: watched.limits)
        checkpoints = CheckpointPolicy(limits: watched.limits)
        stall = StallDetector(limits: watched.limits)
        // After a recovery it is unknown what an earlier checkpoint copied; after another checkpoint it is known.
        if capture.pins.isBeingBackfilled { checkpointer.request() }
    }

    var breach: EpochReason? { capture.breach }

    var tables: [TableDescription] { capture.tables }

    /// Releases everything.
    func close() {
        checkpointer.stop()
        restart.close()
        capture.close()
        // Neither a pin nor another checkpoint is in the way now.
        capture.inspection.rescueLog()
        watched.file.close()
    }

    /// Captures until the watcher is stopped or the path names another file.
    func run() throws(WatchError) -> SessionEnd {
        do throws(WatchError) {
            try capture.reportMissed()
            while true {
                if watched.delivery.isStopped {
                    // The last connection that is closed copies the log.
                    if capture.inspection.isLogDamaged(capture.progress) { return try end(.logDamaged) }
                    try prepareRestart()
                    return .stopped
                }
                if let end = try step() { return end }
            }
        } catch {
            // A page of a damaged log can be the obstacle. The last connection that is closed must not copy it.
            if capture.inspection.isLogDamaged(capture.progress) { return try end(.logDamaged) }
            if error.reason.code == .logLost { capture.inspection.loseLog() }
            throw error
        }
    }

    /// One check of the log, and the actions that follow from it.
    private func step() throws(WatchError) -> SessionEnd? {
        watched.delivery.own.awaitGroupEnd()
        // This precedes any read from the file, so that nothing is published from an overwritten file.
        if let fault = checkFile() { return try end(fault) }
        watched.delivery.runJobs(at: capture.position)
        capture.answerReads()
        guard let header = capture.pins.header() else {
            try recoverTornHeader()
            return nil
        }
        if !header.isSameCommit(as: capture.captured) {
            let known = capture.commitCount
            try captureNext(header)
            let now = ContinuousClock.now
            lastCapture = now
            pacing.captured(at: now)
            checkpoints.captured(commits: capture.commitCount - known, at: now)
            try restartIfNeeded(at: now)
            return nil
        }
        watched.delivery.deliverLateCommits { capture.isComplete }
        let now = ContinuousClock.now
        if let fault = try capture.inspection.checkCompanions(capture.progress, at: now) {
            // A program that deletes or replaces a database does the same with its log.
            return try end(capture.inspection.checkFile(capture.captured) ?? fault)
        }
        if awaitBurst(at: now) { return nil }
        if !capture.isPinned, now - lastCapture >= Self.olderPinMaxPause {
            // Others' checkpoints should not wait for the older pin.
            try capture.captureNew()
            return nil
        }
        let status = status(header)
        if repin.shouldRepin(status, at: now) {
            try capture.captureNew()
            return nil
        }
        if checkpoints.shouldCheckpoint(status, at: now) {
            // SQLite copies what the index says that the log holds, and does not look at it.
            if capture.inspection.isLogDamaged(capture.progress) { return try end(.logDamaged) }
            checkpointer.request()
        }
        capture.seal(status)
        if let probe = capture.probe, stall.shouldProbe(status, at: now),
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
        if now < nextInspection, checkpoints.isBurst || capture.isComplete { return nil }
        nextInspection = now + Self.inspectionInterval
        return capture.inspection.checkFile(capture.captured)
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

    /// Ends the session because of what happened to the file.
    private func end(_ fault: FileInspection.Fault) throws(WatchError) -> SessionEnd {
        switch fault {
        case .displaced(let reason):
            if reason == .logDeleted { capture.inspection.loseLog() }
            try capture.captureNew()
            return .broken(reason)
        case .overwritten: return .broken(.overwritten)
        case .logDamaged:
            capture.inspection.loseLog()
            return .broken(.logDamaged)
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
            backfilledFrameCount: capture.pins.backfilledFrameCount,
            isPinnedToDatabaseOnly: capture.pin.isDatabaseOnly,
            isUnsynced: watched.delivery.own.log.hasFailed
        )
    }

    private func noteEvent() {
        let now = ContinuousClock.now
        pacing.woke(at: now)
        if watched.events.takeFilesChanged() { capture.inspection.companionsChanged(at: now) }
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
        guard !capture.pin.isDatabaseOnly, header.salt == capture.pin.header.salt, reach > 0 else {
            return try capture.captureNew()
        }
        guard capture.frameCountAheadOfPin >= reach else {
            return try capture.report(upTo: header, atMost: Self.maxFramesOfStep)
        }
        // Everything up to a new pin is reported at once.
        if isBurst, capture.uncapturedFrameCount > reach { try restart.catchUp() } else { try capture.captureNew() }
    }

    private static let maxFramesOfStep = 256

    /// An older pin is replaced after so much time without a commit.
    private static let olderPinMaxPause: Duration = .milliseconds(2)

    private func recoverTornHeader() throws(WatchError) {
        let deadline = ContinuousClock.now + watched.limits.tornHeaderPatience
        while capture.pins.header() == nil {
            if ContinuousClock.now > deadline {
                // Starting a read transaction makes SQLite recover the index.
                try capture.captureNew()
                return
            }
            nap(watched.limits.eagerPollInterval)
        }
    }

    // MARK: Before the next process

    /// Copies the log into the file and seals it, so that a later process can continue whether the log is still there or not.
    /// Other processes that commit without pauses wait for at most ``sealWait``. Skipped when one is in the way for
    /// longer: then the log is needed.
    private func prepareRestart() throws(WatchError) {
        let deadline = ContinuousClock.now + watched.limits.restartPreparation
        guard watched.delivery.continuity != nil, !watched.file.isReadOnly else { return }
        while ContinuousClock.now < deadline {
            guard FileIdentity(path: watched.path) == watched.identity, capture.pins.header() != nil else { return }
            // Most often no writer is active, and no lock is needed.
            guard restart.copy() else { return }
            try capture.captureNew()
            capture.seal(status(capture.captured))
            if capture.isSealed { return }
            try restart.complete { sealLater() }
            if capture.isSealed { return }
            nap(.milliseconds(2))
        }
    }

    /// Longer than ``FileStamp`` takes to be conclusive.
    private static let sealWait: Duration = .milliseconds(40)

    /// Waits until the time of the last write to the file is conclusive, while the write lock prevents another one.
    private func sealLater() {
        let deadline = ContinuousClock.now + Self.sealWait
        while true {
            capture.seal(status(capture.captured))
            guard !capture.isSealed, ContinuousClock.now < deadline else { return }
            nap(.milliseconds(1))
        }
    }

    // MARK: Keeping the log short

    private func restartIfNeeded(at now: ContinuousClock.Instant) throws(WatchError) {
        let step = checkpoints.restartStep(
            status(capture.captured),
            uncapturedFrameCount: capture.uncapturedFrameCount,
            isCheckpointing: checkpointer.isBusy,
            at: now
        )
        switch step {
        case .wait: return
        case .prepare:
            // The checkpoint copies up to the pin.
            try capture.captureNew()
            checkpointer.request()
        case .slowDown: restart.slowDown()
        case .catchUp: try restart.catchUp()
        case .force(let isPrepared):
            let isRestarted = try restart.force(isPrepared: isPrepared)
            checkpoints.forcedRestart(succeeded: isRestarted, at: .now)
        }
    }

    /// Leaves the read mark that another process's checkpoint waits for, without a gap.
    private func stepAside() throws(WatchError) {
        // While this lock is held nothing is copied into the database file, so the log cannot be restarted.
        guard watched.file.tryLockShared(.readDatabaseOnly) else { return }
        defer { watched.file.unlockShared(.readDatabaseOnly) }
        let deadline = ContinuousClock.now + watched.limits.stallMaxAside
        // Commits made meanwhile are reported before the lock is released: until then the file does not change.
        try capture.withoutPin {
            while ContinuousClock.now < deadline, capture.probe?.isHeldByOthers(.checkpoint) == true {
                guard capture.isComplete else { return }
                nap(.milliseconds(1))
            }
        }
    }
}
