import Synchronization

/// When the watcher's thread was last seen moving, for other threads to read without waiting for it.
final class Heartbeat: Sendable {
    private let start = ContinuousClock.now
    private let milliseconds = Atomic<Int64>(0)

    /// On the watcher's thread.
    func beat() { milliseconds.store(elapsed, ordering: .relaxed) }

    /// How long ago the last beat was, to the millisecond.
    var age: Duration { .milliseconds(max(0, elapsed - milliseconds.load(ordering: .relaxed))) }

    private var elapsed: Int64 {
        let (seconds, attoseconds) = start.duration(to: .now).components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
