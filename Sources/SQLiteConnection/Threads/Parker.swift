#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Lets one thread sleep until another one wakes it, or until a time.
///
/// The one way in which a thread of this package waits for another one; ``Monitor`` is made of it. A wake that comes before
/// the sleep is kept, so none is lost; several count as one. A condition variable, because neither the standard library nor
/// a dispatch semaphore can be waited on with a monotonic clock on every platform: a step of the wall clock changes no wait.
///
/// `@unchecked`: the pointers are set once, and what they point to is made for use by several threads.
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

    /// Wakes the sleeper, or spares it the next sleep.
    package func wake() {
        pthread_mutex_lock(mutex)
        isWoken = true
        pthread_mutex_unlock(mutex)
        pthread_cond_signal(condition)
    }

    /// Forgets a wake that came before what the caller is about to look at.
    package func forgetWake() {
        pthread_mutex_lock(mutex)
        isWoken = false
        pthread_mutex_unlock(mutex)
    }

    /// Sleeps until woken, at most so long; nil for ever. True when it was woken.
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
