import Synchronization

/// A named thread on which SQL runs, one job after the other, with what the jobs share: usually a connection.
///
/// SQLite blocks, so nothing else may run SQL: no event loop and no thread of Swift's cooperative pool. The context is
/// created, used and released on the thread alone. All methods can be called from any thread, and none of them blocks.
package final class SQLExecutor<Context>: Sendable {
    package typealias Job = @Sendable (Context) -> Void

    private let mailbox = Mailbox()

    /// What the thread waits for. The thread retains it, and not the executor, so that it ends with the executor.
    private final class Mailbox: Sendable {
        struct State {
            var jobs: [Job] = []
            var isStopped = false
            /// The thread sleeps, or is about to: only then must a new job wake it.
            var isSleeping = false
            var onEnd: (@Sendable () -> Void)?

            /// Whether the caller must wake the thread, after the lock.
            mutating func takeWake() -> Bool {
                defer { isSleeping = false }
                return isSleeping
            }
        }

        let state = Mutex(State())
        let parker = Parker()

        /// Sleeps until there is a job; nil when there is none left and none will come.
        func next() -> Job? {
            while true {
                // Not as a slice, which would retain the jobs that have run.
                let (job, isOver) = state.withLock { state in
                    state.isSleeping = state.jobs.isEmpty && !state.isStopped
                    return (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isStopped)
                }
                if let job { return job }
                if isOver { return nil }
                parker.sleep()
            }
        }
    }

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: of the thread; Linux keeps 15 bytes of it.
    ///   - makeContext: called once, on the thread.
    /// - Throws: `SQLITE_NOMEM` when the system refuses to start another thread.
    package init(name: String, _ makeContext: @escaping @Sendable () -> Context) throws(SQLiteError) {
        let mailbox = mailbox
        try NamedThread.start(name: name) {
            do {
                let context = makeContext()
                while let job = mailbox.next() { job(context) }
            }
            mailbox.state.withLock { $0.onEnd }?()
        }
    }

    deinit { stop() }

    /// Appends a job, which runs unless the executor has been stopped before.
    ///
    /// The caller bounds the number of jobs: the scheduler gives a worker one query at a time.
    ///
    /// - Returns: false when the executor has been stopped: the job will not run.
    @discardableResult
    package func submit(_ job: @escaping Job) -> Bool {
        let (isAccepted, mustWake) = mailbox.state.withLock { state in
            guard !state.isStopped else { return (false, false) }
            state.jobs.append(job)
            return (true, state.takeWake())
        }
        if mustWake { mailbox.parker.wake() }
        return isAccepted
    }

    /// Ends the thread after the jobs that it has been given.
    ///
    /// - Parameter onEnd: called on the thread after the context was released; not called when it has been stopped before.
    package func stop(onEnd: (@Sendable () -> Void)? = nil) {
        let mustWake = mailbox.state.withLock { state in
            if state.isStopped { return false }
            state.isStopped = true
            state.onEnd = onEnd
            return state.takeWake()
        }
        if mustWake { mailbox.parker.wake() }
    }

    /// Jobs that wait for the thread.
    package var waitingCount: Int { mailbox.state.withLock { $0.jobs.count } }

    /// Runs `body` on the thread.
    ///
    /// - Throws: what `body` throws, or ``SQLExecutorStopped``.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable (Context) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let isAccepted = submit { context in continuation.resume(with: Result { try body(context) }) }
            if !isAccepted { continuation.resume(throwing: SQLExecutorStopped()) }
        }
    }
}

/// The executor was stopped before it could run a job.
package struct SQLExecutorStopped: Error {}
