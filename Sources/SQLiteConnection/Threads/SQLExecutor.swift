import Synchronization

/// A named thread on which SQL runs, one job after the other, with what the jobs share: usually a connection.
///
/// SQLite blocks, so nothing else may run SQL: no event loop and no thread of Swift's cooperative pool. The context is
/// created, used and released on the thread alone. All methods can be called from any thread, and none of them blocks.
package final class SQLExecutor<Context>: Sendable {
    package typealias Job = @Sendable (Context) -> Void

    private let mailbox: Mailbox

    /// The context, which only the thread has.
    private final class Holder {
        let context: Context
        init(_ context: Context) { self.context = context }
    }

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: of the thread; Linux keeps 15 bytes of it.
    ///   - startsWhenNeeded: whether the thread is started with the first job.
    ///   - makeContext: called once, on the thread.
    /// - Throws: `SQLITE_NOMEM` when the system refuses to start another thread.
    package init(
        name: String,
        startsWhenNeeded: Bool = false,
        _ makeContext: @escaping @Sendable () -> Context
    ) throws(SQLiteError) {
        mailbox = Mailbox { mailbox throws(SQLiteError) in
            try NamedThread.start(name: name) {
                do {
                    let holder = Holder(makeContext())
                    while let job = mailbox.next() { job(holder) }
                }
                mailbox.end()
            }
        }
        if !startsWhenNeeded { try mailbox.start() }
    }

    deinit { stop() }

    /// Appends a job, which runs unless the executor has been stopped before.
    ///
    /// The caller bounds the number of jobs: the scheduler gives a worker one query at a time.
    ///
    /// - Returns: false when the executor has been stopped, or when the system refuses to start its thread: the job will not run.
    @discardableResult
    package func submit(_ job: @escaping Job) -> Bool {
        // The thread calls jobs with nothing else.
        mailbox.append { holder in job(unsafeDowncast(holder, to: Holder.self).context) }
    }

    /// Ends the thread after the jobs that it has been given.
    ///
    /// - Parameter onEnd: called on the thread after the context was released; not called when it has been stopped before.
    package func stop(onEnd: (@Sendable () -> Void)? = nil) { mailbox.stop(onEnd) }

    /// Jobs that wait for the thread.
    package var waitingCount: Int { mailbox.count }

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

/// What an executor's thread waits for. The thread retains it, and not the executor, so that it ends with the executor.
///
/// Not generic: the compiler makes no special version of a generic type for another module.
private final class Mailbox: Sendable {
    /// Called with the holder of the thread's context.
    typealias Job = @Sendable (AnyObject) -> Void

    private struct State {
        /// Nil once the thread has started.
        var start: (@Sendable (Mailbox) throws(SQLiteError) -> Void)?
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

    private let state: Mutex<State>
    private let parker = Parker()

    /// - Parameter start: starts the thread; called at most once with success.
    init(start: @escaping @Sendable (Mailbox) throws(SQLiteError) -> Void) { state = Mutex(State(start: start)) }

    /// Starts the thread, if it has not started.
    func start() throws(SQLiteError) {
        let result = state.withLock { state in Result { () throws(SQLiteError) in try start(&state) } }
        try result.get()
    }

    private func start(_ state: inout State) throws(SQLiteError) {
        try state.start?(self)
        state.start = nil
    }

    var count: Int { state.withLock { $0.jobs.count } }

    /// - Returns: false when the executor has been stopped.
    func append(_ job: @escaping Job) -> Bool {
        let (isAccepted, mustWake) = state.withLock { state in
            guard !state.isStopped else { return (false, false) }
            if state.start != nil {
                do { try start(&state) } catch { return (false, false) }
            }
            state.jobs.append(job)
            return (true, state.takeWake())
        }
        if mustWake { parker.wake() }
        return isAccepted
    }

    func stop(_ onEnd: (@Sendable () -> Void)?) {
        let (mustWake, isOver) = state.withLock { state in
            if state.isStopped { return (false, false) }
            state.isStopped = true
            state.onEnd = onEnd
            return (state.takeWake(), state.start != nil)
        }
        if mustWake { parker.wake() }
        // There is no thread that could end.
        if isOver { end() }
    }

    // MARK: On the thread

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

    func end() { state.withLock { $0.onEnd }?() }
}
