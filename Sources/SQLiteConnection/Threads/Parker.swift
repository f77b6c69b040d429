#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Lets one thread sleep until another thread wakes it, or until a timeout.
///
/// All waits between threads of this package use it; ``Monitor`` is built on it. A wake before the sleep is kept, so
/// none is lost; several count as one. It uses a condition variable, because neither the standard library nor a
/// dispatch semaphore can wait on a monotonic clock on every platform: a step of the wall clock must not change a wait.
///
/// `@unchecked`: the pointers are set once, and their targets are made for use by several threads.
package final class Parker: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Guarded by the mutex.
    private var isWoken = false

    package init() {
        pthread_mutex_init(mutex, nil)
        ConditionClock.initialize(condition)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Wakes the sleeping thread, or makes its next sleep return at once.
    package func wake() {
        pthread_mutex_lock(mutex)
        isWoken = true
        pthread_mutex_unlock(mutex)
        pthread_cond_signal(condition)
    }

    /// Discards a wake that came before the state that the caller is about to check.
    package func forgetWake() {
        pthread_mutex_lock(mutex)
        isWoken = false
        pthread_mutex_unlock(mutex)
    }

    /// Sleeps until woken, for at most `limit`; nil means no limit. True when it was woken.
    @discardableResult
    package func sleep(atMost limit: Duration? = nil) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if let limit {
            guard limit > .zero || isWoken else { return false }
            let end = ContinuousClock.now + limit
            while !isWoken {
                let left = ContinuousClock.now.duration(to: end)
                guard left > .zero else { return false }
                ConditionClock.wait(condition, mutex, atMost: left)
            }
        } else {
            while !isWoken { pthread_cond_wait(condition, mutex) }
        }
        isWoken = false
        return true
    }
}
