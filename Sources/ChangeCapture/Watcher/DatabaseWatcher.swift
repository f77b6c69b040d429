package import SQLiteConnection

/// Watches one database file on a thread of its own and reports every committed transaction, whoever made it, in one
/// order.
///
/// Opens the file again when it was replaced, deleted and put back, or used exclusively by somebody for a while; each
/// time a new epoch begins.
package final class DatabaseWatcher: Sendable {
    /// For the writer of this process to say which commits are its own.
    package let localCommits: LocalCommitLedger
    /// For ``CommitViews`` of the same file.
    package let logHold = LogHold()

    private let path: String
    private let limits: WatcherLimits
    private let delivery: CommitDelivery
    private let wake: WakeSignal
    private let thread: Monitor<NamedThread?>

    /// Prepares to watch the file at `path`. Nothing is opened before ``start()``.
    package init(path: String, sink: any DatabaseEventSink, limits: WatcherLimits = WatcherLimits()) throws(WatchError)
    {
        guard !path.isEmpty, path != ":memory:" else { throw .notAFile(path: path) }
        self.path = path
        self.limits = limits
        wake = try WakeSignal()
        localCommits = LocalCommitLedger(wake: wake)
        delivery = CommitDelivery(sink: sink, own: localCommits, hold: logHold, wake: wake, limits: limits)
        thread = Monitor(nil)
    }

    deinit { stop() }

    /// Opens the file and returns once its present state is pinned: every commit from here on is reported.
    ///
    /// Throws when there is no such file or it is no database. A file that somebody uses exclusively is waited for in the
    /// background, after a ``DatabaseEvent/databaseGone(_:)``.
    package func start() throws(WatchError) {
        let outcome = Monitor<Result<Void, WatchError>?>(nil)
        let supervisor = WatchSupervisor(path: path, limits: limits, delivery: delivery, wake: wake)
        let started = try WatchError.startThread("watcher") {
            supervisor.run { result in outcome.update { $0 = $0 ?? result } }
        }
        thread.update { $0 = started }
        // The thread always answers: opening waits no longer than the busy timeout.
        let result = outcome.wait(atMost: limits.busyTimeout * 10) { $0 }
        if case .failure(let error)? = result {
            stop()
            throw error
        }
    }

    /// How much of each row other processes' commits are reported with, from the next one on. What nobody wants need not be
    /// decoded.
    package var captureLevel: CaptureLevel {
        get { delivery.captureLevel }
        set { delivery.captureLevel = newValue }
    }

    /// How long ago the watcher's thread was last seen moving: some 50 ms when it idles, longer while it reads a large
    /// transaction. From any thread.
    package var heartbeatAge: Duration { delivery.heartbeat.age }

    /// Stops capturing and waits until the thread has let go of the file. Again does nothing. Not to be called by the sink.
    package func stop() {
        requestStop()
        let started = thread.update { thread in
            defer { thread = nil }
            return thread
        }
        started?.join()
    }

    /// Stops capturing without waiting for it; for places that must not block.
    package func requestStop() {
        delivery.stop()
        localCommits.close()
    }

    /// Begins a read transaction that sees the database exactly as of the last transaction delivered, and lasts as long as
    /// the caller keeps it. No writer waits for it in WAL mode; but the log cannot shrink meanwhile.
    ///
    /// A watcher that is behind the writers answers when it has come to what the transaction sees.
    ///
    /// - Parameter position: called on the watcher's thread at that moment, to say what was delivered.
    package func beginRead<Value: Sendable>(
        _ position: @escaping @Sendable () -> Value
    ) async throws(WatchError) -> (transaction: ReadTransaction, position: Value) {
        let result: Result<(ReadTransaction, Value), WatchError> = await withCheckedContinuation { continuation in
            let request = ReadRequest { result in continuation.resume(returning: result.map { ($0, position()) }) }
            if !delivery.enqueue(request) { continuation.resume(returning: .failure(.stopped)) }
        }
        return try result.get()
    }

    /// As the asynchronous form, for a thread of its own.
    ///
    /// - Parameter answer: called once, on the watcher's thread at the moment that the transaction's state was delivered, or on
    ///   this one when the watcher has stopped. It must not block.
    package func beginRead(_ answer: @escaping @Sendable (Result<ReadTransaction, WatchError>) -> Void) {
        if !delivery.enqueue(ReadRequest(answer: answer)) { answer(.failure(.stopped)) }
    }

    /// Passes the state that the last delivered transaction left, on the watcher's thread between two transactions: nil where
    /// there is no write-ahead log. `answer` must not block.
    package func currentMark(_ answer: @escaping @Sendable (Result<CommitMark?, WatchError>) -> Void) {
        if !delivery.enqueue(mark: answer) { answer(.failure(.stopped)) }
    }

    /// Runs `body` on the watcher's thread between two transactions, with a connection that shows the database exactly as of
    /// the last one delivered. Nothing is captured meanwhile, and nothing is lost.
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

/// One opening of the file: captures until the file is another one or the watcher is stopped.
protocol WatchSession: AnyObject {
    func run() throws(WatchError) -> SessionEnd
    func close()
}

/// Why a session came to its end in an orderly way.
enum SessionEnd: Equatable {
    case stopped
    /// What was captured and what will be do not join.
    case broken(EpochReason)

    var reason: EpochReason? {
        switch self {
        case .stopped: nil
        case .broken(let reason): reason
        }
    }
}

/// Somebody who wants to read the database as of a transaction that has been delivered, and after which nothing has.
struct ReadRequest: Sendable {
    /// How often a session of a database with a rollback journal tried to grant it.
    var attempts = 0
    /// Called once, on the watcher's thread, at that very moment; or with why it will not come.
    let answer: @Sendable (Result<ReadTransaction, WatchError>) -> Void
}
