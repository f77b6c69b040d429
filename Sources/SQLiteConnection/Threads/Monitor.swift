import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// State under a lock; threads can wait for its changes.
///
/// The standard library's `Mutex` with waiting. Only for threads that this package starts: waiting blocks the thread.
/// Waits use a monotonic clock.
package final class Monitor<State: Sendable>: Sendable {
    private struct Guarded: Sendable {
        var state: State
        /// The parkers of the waiting threads.
        var waiting: [Parker] = []
    }

    private let guarded: Mutex<Guarded>

    package init(_ state: State) { guarded = Mutex(Guarded(state: state)) }

    package func withLock<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        guarded.withLock { body(&$0.state) }
    }

    /// Changes the state and wakes every waiting thread.
    package func update<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        let (result, waiting) = guarded.withLock { guarded in (body(&guarded.state), guarded.waiting) }
        for parker in waiting { parker.wake() }
        return result
    }

    /// Waits until `body` returns a result; nil when it does not within `timeout`.
    package func wait<Result: Sendable>(atMost timeout: Duration, _ body: (inout State) -> Result?) -> Result? {
        if let result = withLock(body) { return result }
        let deadline = ContinuousClock.now + timeout
        let parker = Parker()
        guarded.withLock { $0.waiting.append(parker) }
        defer { guarded.withLock { $0.waiting.removeAll { $0 === parker } } }
        while true {
            // A change after this check wakes the parker, even before it sleeps.
            if let result = withLock(body) { return result }
            guard parker.sleep(atMost: ContinuousClock.now.duration(to: deadline)) else { return withLock(body) }
        }
    }
}

/// The platform-dependent part of condition variables: waiting by a monotonic clock.
enum ConditionClock {
    static func initialize(_ condition: UnsafeMutablePointer<pthread_cond_t>) {
        #if canImport(Darwin)
            pthread_cond_init(condition, nil)
        #else
            var attributes = pthread_condattr_t()
            pthread_condattr_init(&attributes)
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            pthread_cond_init(condition, &attributes)
            pthread_condattr_destroy(&attributes)
        #endif
    }

    /// May return early, as condition variables do.
    static func wait(
        _ condition: UnsafeMutablePointer<pthread_cond_t>,
        _ mutex: UnsafeMutablePointer<pthread_mutex_t>,
        atMost limit: Duration
    ) {
        // Far enough for "never", small enough for every time type.
        let (seconds, attoseconds) = min(limit, .seconds(1_000_000)).components
        let nanoseconds = Int(attoseconds / 1_000_000_000)
        #if canImport(Darwin)
            var relative = timespec(tv_sec: Int(seconds), tv_nsec: nanoseconds)
            pthread_cond_timedwait_relative_np(condition, mutex, &relative)
        #else
            var end = timespec()
            clock_gettime(CLOCK_MONOTONIC, &end)
            end.tv_sec += Int(seconds)
            end.tv_nsec += nanoseconds
            if end.tv_nsec >= 1_000_000_000 {
                end.tv_nsec -= 1_000_000_000
                end.tv_sec += 1
            }
            pthread_cond_timedwait(condition, mutex, &end)
        #endif
    }
}
