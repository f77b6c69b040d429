package import SQLiteConnection

/// Watches one database file on its own thread and reports every committed transaction of any process, in one order.
///
/// Opens the file again after it was replaced, deleted and restored, or used exclusively by another process for a
/// while; each time a new epoch begins.
package final class DatabaseWatcher: Sendable {
    /// The writer of this process announces its own commits here.
    package let localCommits: LocalCommitLedger
    /// For ``CommitViews`` of the same file.
    package let logHold = LogHold()

    private let path: String
    private let limits: WatcherLimits
    private let delivery: CommitDelivery
    private let wake: WakeSignal
    private let thread: Monitor<NamedThread?>
    /// What an earlier process captured last.
    private let earlier: CapturedState?

    /// Prepares to watch the file at `path`. Nothing is opened before ``start()``.
    ///
    /// - Parameter earlier: the state to continue from, for a ``ContinuitySink``.
    package init(
        path: String,
        sink: any DatabaseEventSink,
        limits: WatcherLimits = WatcherLimits(),
        continuing earlier: CapturedState? = nil
    ) throws(WatchError) {
        guard !path.isEmpty, path != ":memory:" else { throw .notAFile(path: path) }
        self.path = path
        self.limits = limits
        self.earlier = earlier
        wake = try WakeSignal()
        localCommits = LocalCommitLedger(wake: wake, log: LogSync(databasePath: path))
        delivery = CommitDelivery(sink: sink, own: localCommits, hold: logHold, wake: wake, limits: limits)
        thread = Monitor(nil)
    }

    deinit { stop() }

    /// Opens the file and returns once its current state is pinned: every later commit is reported.
    ///
    /// Throws when there is no such file or it is not a database. For a file that another process uses exclusively, the
    /// watcher waits in the background, after a ``DatabaseEvent/databaseGone(_:)``.
    package func start() throws(WatchError) {
        let outcome = Monitor<Result<Void, WatchError>?>(nil)
        let supervisor = WatchSupervisor(path: path, limits: limits, delivery: delivery, wake: wake)
        let started = try WatchError.startThread("watcher") { [earlier] in
            supervisor.run(continuing: earlier) { result in outcome.update { $0 = $0 ?? result } }
        }
        thread.update { $0 = started }
        // The thread always returns a result: opening waits no longer than the busy timeout.
        let result = outcome.wait(atMost: limits.busyTimeout * 10) { $0 }
        if case .failure(let error)? = result {
            stop()
            throw error
        }
    }

    /// The row detail for commits of other processes, from the next one on. Rows that no subscriber wants need not be
    /// decoded.
    package var captureLevel: CaptureLevel {
        get { delivery.captureLevel }
        set { delivery.captureLevel = newValue }
    }

    /// How long ago the watcher's thread last made progress: some 50 ms when idle, longer while it reads a large
    /// transaction. Call it from any thread.
    package var heartbeatAge: Duration { delivery.heartbeat.age }

    /// Stops capturing and waits until the thread has closed the file. A second call does nothing. The sink must not
    /// call it.
    package func stop() {
        requestStop()
        let started = thread.update { thread in
            defer { thread = nil }
            return thread
        }
        started?.join()
    }

    /// Stops capturing without waiting; for callers that must not block.
    package func requestStop() {
        delivery.stop()
        localCommits.close()
    }

    /// Begins a read transaction that sees the database exactly as of the last delivered transaction, and lasts as long
    /// as the caller keeps it. In WAL mode no writer waits for it, but the log cannot shrink meanwhile.
    ///
    /// A watcher that is behind the writers completes when it has reached the state that the transaction sees.
    ///
    /// - Parameter position: called on the watcher's thread at that point; returns the position delivered.
    package func beginRead<Value: Sendable>(
        _ position: @escaping @Sendable () -> Value
    ) async throws(WatchError) -> (transaction: ReadTransaction, position: Value) {
        let result: Result<(ReadTransaction, Value), WatchError> = await withCheckedContinuation { continuation in
            let request = ReadRequest { result in continuation.resume(returning: result.map { ($0, position()) }) }
            if !delivery.enqueue(request) { continuation.resume(returning: .failure(.stopped)) }
        }
        return try result.get()
    }

    /// Like the asynchronous form, for callers on their own thread.
    ///
    /// - Parameter answer: called once: on the watcher's thread when the transaction's state was delivered, or on the
    ///   calling thread when the watcher has stopped. It must not block.
    package func beginRead(_ answer: @escaping @Sendable (Result<ReadTransaction, WatchError>) -> Void) {
        if !delivery.enqueue(ReadRequest(answer: answer)) { answer(.failure(.stopped)) }
    }

    /// Passes the state that the last delivered transaction left, on the watcher's thread between two transactions: nil
    /// without a write-ahead log. `answer` must not block.
    package func currentMark(_ answer: @escaping @Sendable (Result<CommitMark?, WatchError>) -> Void) {
        if !delivery.enqueue(mark: answer) { answer(.failure(.stopped)) }
    }

    /// Runs `body` on the watcher's thread between two transactions, with a connection that shows the database exactly as of
    /// the last delivered one. Nothing is captured meanwhile, and nothing is lost.
    package func read<Value: Sendable>(
        _ body: @escaping @Sendable (Connection) throws(SQLiteError) -> Value
    ) async throws(WatchError) -> Value {
        let result: Result<Value, WatchError> = await withCheckedContinuation { continuation in
            let isAccepted = delivery.enqueue { cursor in
                continuation.resume(
                    returning: cursor.flatMap { cursor in
                        WatchError.result { () throws(SQLiteError) in try body(cursor.connection) }
                    }
                )
            }
            if !isAccepted { continuation.resume(returning: .failure(.stopped)) }
        }
        return try result.get()
    }
}

/// One opening of the file: captures until the path names another file or the watcher is stopped.
protocol WatchSession: AnyObject {
    /// Why it does not continue from the state of an earlier process that it was given; nil when it does.
    var breach: EpochReason? { get }

    /// The tables that clients can see, as of the opening or, where it continues, as of the earlier state.
    var tables: [TableDescription] { get }

    /// Separates the own commits that are in the state from which the session starts from later ones; nil in WAL mode, where
    /// the log alone reports their changes.
    ///
    /// - Parameter lastEnded: the last own commit that had ended before the opening.
    func opening(_ lastEnded: UInt64) -> CommitSpan?

    func run() throws(WatchError) -> SessionEnd
    func close()
}

extension WatchSession {
    func opening(_ lastEnded: UInt64) -> CommitSpan? { nil }
}

/// Why a session ended in an orderly way.
enum SessionEnd: Equatable {
    case stopped
    /// Transactions before and after the end do not join.
    case broken(EpochReason)

    var reason: EpochReason? {
        switch self {
        case .stopped: nil
        case .broken(let reason): reason
        }
    }
}

/// A request to read the database as of the last delivered transaction, before the next one is delivered.
struct ReadRequest: Sendable {
    /// How often a session of a database with a rollback journal tried to grant it.
    var attempts = 0
    /// Called once, on the watcher's thread at that point, or with the reason why the read cannot begin.
    let answer: @Sendable (Result<ReadTransaction, WatchError>) -> Void
}
