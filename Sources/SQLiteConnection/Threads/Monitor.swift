import Synchronization

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
