import Foundation
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The decisions about pins and the log, with a test clock.
@Suite struct PolicyTests {
    private let start = ContinuousClock.now

    private func status(_ frames: UInt32, copied: UInt32, databaseOnly: Bool = false) -> LogStatus {
        LogStatus(frameCount: frames, backfilledFrameCount: copied, isPinnedToDatabaseOnly: databaseOnly)
    }

    @Test func `a wake-up is followed by naps, then by short waits, then by the idle interval`() {
        let limits = WatcherLimits()
        var pacing = WakePacing(limits: limits)
        #expect(pacing.next(at: start) == .wait(limits.idlePollInterval))
        pacing.woke(at: start)
        #expect(pacing.next(at: start + .milliseconds(1)) == .nap(limits.eagerPollInterval))
        #expect(pacing.next(at: start + .milliseconds(5)) == .wait(limits.relaxedPollInterval))
        #expect(pacing.next(at: start + .milliseconds(101)) == .wait(limits.idlePollInterval))
        #expect(pacing.next(at: start + .milliseconds(1)) == .wait(limits.idlePollInterval))
    }

    @Test func `after a capture the waits stay short for a while`() {
        let limits = WatcherLimits()
        var pacing = WakePacing(limits: limits)
        pacing.woke(at: start)
        pacing.captured(at: start)
        #expect(pacing.next(at: start + .milliseconds(1)) == .wait(limits.afterCapturePollInterval))
        #expect(pacing.next(at: start + .milliseconds(101)) == .wait(limits.idlePollInterval))
    }

    @Test func `a pin moves once every frame is in the database file, and tries again after 2, 4, 8 ms`() {
        var policy = RepinPolicy()
        #expect(policy.shouldRepin(status(10, copied: 9), at: start) == false)
        #expect(policy.shouldRepin(status(0, copied: 0), at: start) == false)
        #expect(policy.shouldRepin(status(10, copied: 10), at: start) == true)
        #expect(policy.shouldRepin(status(10, copied: 10), at: start + .milliseconds(1)) == false)
        #expect(policy.shouldRepin(status(10, copied: 10), at: start + .milliseconds(2)) == true)
        #expect(policy.shouldRepin(status(10, copied: 10), at: start + .milliseconds(5)) == false)
        #expect(policy.shouldRepin(status(10, copied: 10), at: start + .milliseconds(6)) == true)
        #expect(policy.shouldRepin(status(10, copied: 10, databaseOnly: true), at: start + .milliseconds(20)) == false)
        #expect(policy.shouldRepin(status(12, copied: 12), at: start + .milliseconds(21)) == true)
    }

    @Test func `a long log is copied by the watcher, at most every 2 ms`() {
        var policy = CheckpointPolicy(limits: WatcherLimits())
        #expect(policy.shouldCheckpoint(status(999, copied: 0), at: start) == false)
        #expect(policy.shouldCheckpoint(status(1_000, copied: 1_000), at: start) == false)
        #expect(policy.shouldCheckpoint(status(1_000, copied: 0), at: start) == true)
        #expect(policy.shouldCheckpoint(status(1_001, copied: 0), at: start + .milliseconds(1)) == false)
        #expect(policy.shouldCheckpoint(status(1_001, copied: 0), at: start + .milliseconds(2)) == true)
    }

    /// What to do about the log while no checkpoint is running.
    private func step(
        _ policy: inout CheckpointPolicy,
        _ status: LogStatus,
        uncaptured: UInt32 = 0,
        isCheckpointing: Bool = false,
        at now: ContinuousClock.Instant
    ) -> CheckpointPolicy.RestartStep {
        policy.restartStep(status, uncapturedFrameCount: uncaptured, isCheckpointing: isCheckpointing, at: now)
    }

    @Test func `a restart is forced only past its threshold, and later again when it failed`() {
        var limits = WatcherLimits()
        limits.forcedRestartFrameCount = 4_000
        limits.pacedRestartFrameCount = 0
        var policy = CheckpointPolicy(limits: limits)
        let forced = CheckpointPolicy.RestartStep.force(isPrepared: false)
        #expect(step(&policy, status(3_999, copied: 0), at: start) == .wait)
        #expect(step(&policy, status(4_000, copied: 0), at: start) == forced)
        policy.forcedRestart(succeeded: false, at: start)
        #expect(step(&policy, status(5_000, copied: 0), at: start + .milliseconds(4)) == .wait)
        #expect(step(&policy, status(5_000, copied: 0), at: start + .milliseconds(5)) == forced)
        policy.forcedRestart(succeeded: true, at: start + .milliseconds(100))
        #expect(step(&policy, status(9_000, copied: 0), at: start + .milliseconds(101)) == forced)
    }

    /// The policy after 200 commits with these pauses, and the time of the last one.
    private func policy(pauseMicroseconds: Int) -> (CheckpointPolicy, ContinuousClock.Instant) {
        var policy = CheckpointPolicy(limits: WatcherLimits())
        var now = start
        for _ in 0..<200 {
            now += .microseconds(pauseMicroseconds)
            policy.captured(commits: 1, at: now)
        }
        return (policy, now)
    }

    @Test(arguments: [(pauseMicroseconds: 700, threshold: UInt32(25_000)), (50, 1_000)])
    func `a writer with pauses is left alone until the log is long`(pauseMicroseconds: Int, threshold: UInt32) {
        var (policy, now) = policy(pauseMicroseconds: pauseMicroseconds)
        #expect(step(&policy, status(threshold - 1, copied: 0), at: now) == .wait)
        #expect(step(&policy, status(threshold, copied: 0), at: now) != .wait)
    }

    @Test func `the writers are held back only after most of the log was copied in the background`() {
        var (policy, now) = policy(pauseMicroseconds: 50)
        #expect(step(&policy, status(1_000, copied: 0), at: now) == .prepare)
        #expect(step(&policy, status(1_100, copied: 0), isCheckpointing: true, at: now) == .wait)
        #expect(step(&policy, status(9_001, copied: 1_000), isCheckpointing: true, at: now) == .slowDown)
        // Much was written during the checkpoint.
        #expect(step(&policy, status(9_001, copied: 1_000), at: now) == .prepare)
        #expect(step(&policy, status(9_100, copied: 9_001), at: now) == .force(isPrepared: true))
        policy.forcedRestart(succeeded: false, at: now)
        now += .milliseconds(5)
        #expect(step(&policy, status(1_300, copied: 1_000), at: now) == .prepare)
        // The log restarted by itself.
        #expect(step(&policy, status(10, copied: 0), at: now) == .wait)
        #expect(step(&policy, status(1_000, copied: 0), at: now) == .prepare)
    }

    @Test func `writers that are faster than the capture are held back until it has caught up`() {
        var (policy, now) = policy(pauseMicroseconds: 50)
        #expect(step(&policy, status(900, copied: 0), uncaptured: 8_001, at: now) == .catchUp)
        (policy, now) = self.policy(pauseMicroseconds: 700)
        #expect(step(&policy, status(900, copied: 0), uncaptured: 8_001, at: now) == .wait)
    }

    @Test func `a log that could not be synced begins again however short it is`() {
        var policy = CheckpointPolicy(limits: WatcherLimits())
        var status = status(1, copied: 0)
        #expect(policy.shouldCheckpoint(status, at: start) == false)
        #expect(step(&policy, status, at: start) == .wait)
        status.isUnsynced = true
        #expect(policy.shouldCheckpoint(status, at: start) == true)
        #expect(step(&policy, status, at: start) == .force(isPrepared: false))
    }

    @Test func `a pin serves for many commits of a burst, with pauses for some while the log is short`() {
        let limits = WatcherLimits()
        #expect(PinReach.maxFrameCount(isBurst: true, logFrameCount: 5_000, limits) == 4_000)
        #expect(PinReach.maxFrameCount(isBurst: false, logFrameCount: 900, limits) == 64)
        #expect(PinReach.maxFrameCount(isBurst: false, logFrameCount: 936, limits) == 0)
    }

    @Test func `a restart is never forced when it is switched off`() {
        var limits = WatcherLimits()
        limits.forcedRestartFrameCount = nil
        var policy = CheckpointPolicy(limits: limits)
        #expect(step(&policy, status(1_000_000, copied: 0), at: start) == .wait)
    }

    @Test func `a checkpoint that waits for 250 ms without progress is made way for`() {
        var detector = StallDetector(limits: WatcherLimits())
        let waiting = status(10, copied: 3)
        #expect(detector.shouldProbe(waiting, at: start) == true)
        #expect(detector.shouldProbe(waiting, at: start + .milliseconds(1)) == false)
        #expect(detector.shouldStepAside(isLockHeld: true, waiting, at: start) == false)
        #expect(detector.isSuspicious)
        #expect(detector.shouldStepAside(isLockHeld: true, waiting, at: start + .milliseconds(249)) == false)
        #expect(detector.shouldStepAside(isLockHeld: true, waiting, at: start + .milliseconds(250)) == true)
        #expect(!detector.isSuspicious)
    }

    @Test func `a checkpoint that makes progress is not disturbed`() {
        var detector = StallDetector(limits: WatcherLimits())
        #expect(detector.shouldStepAside(isLockHeld: true, status(10, copied: 3), at: start) == false)
        #expect(
            detector.shouldStepAside(isLockHeld: true, status(10, copied: 4), at: start + .milliseconds(300)) == false
        )
        #expect(
            detector.shouldStepAside(isLockHeld: false, status(10, copied: 4), at: start + .milliseconds(600)) == false
        )
        #expect(!detector.isSuspicious)
    }

    @Test func `a checkpoint with nothing left to copy waits for no reader`() {
        var detector = StallDetector(limits: WatcherLimits())
        #expect(detector.shouldProbe(status(10, copied: 10), at: start) == false)
        #expect(detector.shouldProbe(status(10, copied: 3, databaseOnly: true), at: start) == false)
    }

    @Test func `a file is written over when it was written and no frame was copied, whatever was committed`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let longer = try TemporaryDatabase("CREATE TABLE t(a); CREATE TABLE u(a)")
        let (before, after) = try (#require(FileStamp(path: database.path)), #require(FileStamp(path: longer.path)))
        func isOverwritten(
            _ looks: (copied: UInt32, stamp: FileStamp)...,
            isCheckpointing: Bool = false,
            lacksCopiedPage: Bool = false
        ) -> [Bool] {
            var detector = OverwriteDetector()
            return looks.map { look in
                detector.isOverwritten(.init(copiedFrameCount: look.copied, stamp: look.stamp)) {
                    isCheckpointing
                } lacksCopiedPage: {
                    lacksCopiedPage
                }
            }
        }
        #expect(isOverwritten((2, before), (2, before)) == [false, false])
        #expect(isOverwritten((2, before), (2, after)) == [false, true])
        #expect(isOverwritten((2, before), (3, after)) == [false, false])
        #expect(isOverwritten((2, before), (2, after), isCheckpointing: true) == [false, false])
        // Copied within the clock tick of the first check.
        #expect(isOverwritten((2, before), (3, before), (3, after)) == [false, false, true])
        // Written over after the checkpoint, before the next check.
        #expect(isOverwritten((2, before), (3, after), lacksCopiedPage: true) == [false, true])
    }

    @Test func `a write in the tick of the last check is found when the tick is over`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        var detector = OverwriteDetector()
        var looks = 0
        func isOverwritten() throws -> Bool {
            let stamp = try #require(FileStamp(path: database.path))
            return detector.isOverwritten(.init(copiedFrameCount: 2, stamp: stamp)) {
                false
            } lacksCopiedPage: {
                looks += 1
                return true
            }
        }
        // However slow this machine is, the first check is not later than the tick of this time.
        let soon = Date(timeIntervalSinceNow: 1)
        try FileManager.default.setAttributes([.modificationDate: soon], ofItemAtPath: database.path)
        #expect(try !isOverwritten())
        let deadline = ContinuousClock.now + .seconds(10)
        while try !isOverwritten(), ContinuousClock.now < deadline {}
        #expect(looks == 1)
        #expect(try !isOverwritten())
        #expect(looks == 1)
    }

    @Test func `a log that starts again has copied every frame, and so did not write the file since`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let longer = try TemporaryDatabase("CREATE TABLE t(a); CREATE TABLE u(a)")
        let (before, after) = try (#require(FileStamp(path: database.path)), #require(FileStamp(path: longer.path)))
        var detector = OverwriteDetector()
        var results = [
            detector.isOverwritten(.init(copiedFrameCount: 7, stamp: before)) {
                false
            } lacksCopiedPage: {
                false
            }
        ]
        detector.logRestarted(afterFrame: 7)
        results.append(
            detector.isOverwritten(.init(copiedFrameCount: 0, stamp: after)) {
                false
            } lacksCopiedPage: {
                false
            }
        )
        #expect(results == [false, true])
    }
}
