#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// State under a lock that a running thread takes as soon as it is free, even when other threads wait for it.
///
/// For state that several threads use for every query. On Linux the standard library's `Mutex` is a futex with priority
/// inheritance: an unlock passes it to a waiting thread, which has to be scheduled first, and meanwhile every other thread
/// that needs it spins and then waits too. With more threads than processors this does not end before the load does: each use
/// costs system calls and a switch of threads (a lock convoy).
///
/// Source: [pthread_mutex_lock](https://pubs.opengroup.org/onlinepubs/9799919799/functions/pthread_mutex_lock.html).
///
/// `@unchecked Sendable`: the pointers are set once, and the mutex guards the state.
package final class SharedState<State>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let state = UnsafeMutablePointer<State>.allocate(capacity: 1)

    package init(_ state: sending State) {
        pthread_mutex_init(mutex, nil)
        self.state.initialize(to: state)
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Calls `body` with the state, of which nothing but the result may leave it. Not reentrant.
    @inline(__always)
    package func withLock<Result, Failure>(
        _ body: (inout State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state.pointee)
    }
}
