import SQLiteConnection

/// What a connection's progress and busy handlers call: the query that runs, while one does.
///
/// Belongs to the connection's thread.
final class Pulse {
    /// How many steps of the virtual machine lie between two calls: some ten microseconds.
    static let steps = 1_000

    var run: QueryRun?
    /// Off during a commit or a rollback, which must not be interrupted.
    var isInterruptible = true
    /// Off where a lock that another process has is not waited for.
    var isPatient = true
    private let busyTimeout: Duration
    private var waitingSince = ContinuousClock.now

    init(busyTimeout: Duration) { self.busyTimeout = busyTimeout }

    func install(on connection: Connection) {
        connection.setProgressHandler(everySteps: Self.steps) { [self] in
            guard let run, isInterruptible else { return .proceed }
            return run.tick()
        }
        connection.setBusyHandler { [self] attempt in waits(attempt: attempt) }
    }

    /// Sleeps a little before the next attempt to get a lock; false to give up. A cancel ends the sleep.
    private func waits(attempt: Int) -> Bool {
        guard isPatient else { return false }
        if attempt == 0 { waitingSince = .now }
        let left = busyTimeout - waitingSince.duration(to: .now)
        guard left > .zero else { return false }
        let delay = min(Duration.milliseconds(1 << min(attempt, 5)), .milliseconds(25), left)
        guard let run else {
            Parker().sleep(atMost: delay)
            return true
        }
        if run.control.isCancelled { return false }
        run.control.parker.sleep(atMost: delay)
        run.tickWaiting()
        return !run.control.isCancelled
    }
}
