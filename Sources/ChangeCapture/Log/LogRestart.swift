import SQLiteConnection

/// Holds back the writers of a log: until everything is captured, until the log can start from its beginning, or until the file
/// is complete.
///
/// One thread at a time. ``CheckpointPolicy`` decides when.
final class LogRestart {
    private let watched: WatchedFile
    private let capture: LogCapture
    private var restarter: WALRestarter?

    init(_ watched: WatchedFile, _ capture: LogCapture) {
        self.watched = watched
        self.capture = capture
        capture.willDecode = { [unowned self] frameCount in
            restarter?.commitWillBeDecoded(frameCount: frameCount) { capture.lastFrame }
        }
    }

    func close() {
        capture.willDecode = nil
        restarter?.close()
    }

    /// Nil when the file cannot be opened.
    private func openRestarter() -> WALRestarter? {
        // The log stays as it is then.
        if restarter == nil { restarter = try? WALRestarter(path: watched.path, limits: watched.limits) }
        return restarter
    }

    /// Holds back the writers once: the disk is slower than they are.
    func slowDown() {
        guard let restarter = openRestarter(), restarter.lock() else { return }
        nap(watched.limits.forcedRestartMaxCatchUp)
        restarter.unlock()
    }

    /// Captures everything, while the writers have the lock only in turns.
    func catchUp() throws(WatchError) {
        guard let restarter = openRestarter(), restarter.lock() else { return try capture.captureNew() }
        defer { restarter.unlock() }
        _ = try catchUp(restarter)
    }

    /// Copies the log into the file, so that the next writer starts it from its beginning.
    ///
    /// - Parameter isPrepared: most of the log was copied already.
    /// - Returns: whether the next writer can.
    func force(isPrepared: Bool) throws(WatchError) -> Bool {
        guard let restarter = openRestarter() else { return false }
        defer { restarter.unlock() }
        if !isPrepared { restarter.prepare() }
        guard restarter.lock(), try catchUp(restarter) else { return false }
        restarter.finish()
        waitForViews { restarter.finish() }
        try capture.captureNew()
        return capture.pin.isDatabaseOnly && !watched.delivery.hold.isInTheWay(of: capture.captured)
    }

    /// Copies the log into the file as far as possible without holding back a writer. False when it cannot be opened.
    func copy() -> Bool {
        guard let restarter = openRestarter() else { return false }
        restarter.prepare()
        return true
    }

    /// Captures and copies everything, and calls `body` while the writers are held back; not when they could not be.
    func complete(_ body: () -> Void) throws(WatchError) {
        guard let restarter = openRestarter() else { return }
        defer { restarter.unlock() }
        guard restarter.lock(), try catchUp(restarter) else { return }
        restarter.finish()
        try capture.captureNew()
        body()
    }

    /// Captures until no commit is left while the write lock is held. True when that succeeded in time.
    ///
    /// The lock is released whenever it was held for long: see ``WALRestarter``.
    private func catchUp(_ restarter: WALRestarter) throws(WatchError) -> Bool {
        let deadline = ContinuousClock.now + watched.limits.forcedRestartLockWait * 10
        while true {
            try capture.captureNew()
            if restarter.isLocked, capture.isComplete { return true }
            if ContinuousClock.now > deadline { return false }
            if !restarter.isLocked {
                restarter.waitForWriter { capture.lastFrame }
                _ = restarter.lock()
            }
        }
    }

    /// Gives those who follow this watcher time to come to the commit that is captured, and to keep no frame of the log. What they
    /// evaluate may take longer, and goes on while writers do.
    private func waitForViews(_ copyRest: () -> Void) {
        let deadline = ContinuousClock.now + watched.limits.forcedRestartViewWait
        while watched.delivery.hold.isInTheWay(of: capture.captured), ContinuousClock.now < deadline {
            nap(.microseconds(100))
            if capture.pins.backfilledFrameCount < capture.captured.maxFrame { copyRest() }
        }
    }
}
