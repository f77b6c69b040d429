import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// State under a lock, on whose changes other threads can wait.
///
/// What `Mutex` of the standard library is without waiting. For threads of our own only: waiting blocks the thread. Waits
/// are measured by a clock that nobody sets.
package final class Monitor<State: Sendable>: Sendable {
    private struct Guarded: Sendable {
        var state: State
        /// Of the threads that wait.
        var waiting: [Parker] = []
    }

    private let guarded: Mutex<Guarded>

    package init(_ state: State) { guarded = Mutex(Guarded(state: state)) }

    package func withLock<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        guarded.withLock { body(&$0.state) }
    }

    /// Changes the state and wakes every thread that waits for it.
    package func update<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        let (result, waiting) = guarded.withLock { guarded in (body(&guarded.state), guarded.waiting) }
        for parker in waiting { parker.wake() }
        return result
    }

    /// Waits until `body` gives a result; nil when it does not within `timeout`.
    package func wait<Result: Sendable>(atMost timeout: Duration, _ body: (inout State) -> Result?) -> Result? {
        if let result = withLock(body) { return result }
        let deadline = ContinuousClock.now + timeout
        let parker = Parker()
        guarded.withLock { $0.waiting.append(parker) }
        defer { guarded.withLock { $0.waiting.removeAll { $0 === parker } } }
        while true {
            // A change after this look wakes the parker, even before it sleeps.
            if let result = withLock(body) { return result }
            guard parker.sleep(atMost: ContinuousClock.now.duration(to: deadline)) else { return withLock(body) }
        }
    }
}

/// The one thing about condition variables that differs between platforms: waiting by a clock that nobody sets.
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
        // Far enough for "never", near enough for every time type.
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
