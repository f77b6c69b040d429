import ChangeCapture
import QueryEngine
import SQLiteConnection
import Synchronization

/// A service on a temporary database, with all of its reports.
final class Harness: Sendable {
    let database: TemporaryDatabase
    let service: QueryService
    let commits: CommitLog
    let events = EventLog()
    private let lastId = Atomic<Int>(0)

    init(
        _ sql: String = "",
        journalMode: String = "WAL",
        readsLog: Bool = false,
        _ adjust: (inout ServiceConfiguration) -> Void = { _ in }
    ) throws {
        commits = CommitLog(readsLog: readsLog)
        database = try TemporaryDatabase(sql, journalMode: journalMode)
        var configuration = ServiceConfiguration(path: database.path)
        // Longer than any stall of a busy machine: a test about a limit sets it.
        configuration.limits.busyTimeout = .seconds(60)
        configuration.limits.transactionIdleTimeout = .seconds(60)
        configuration.limits.maxTransactionTime = .seconds(600)
        configuration.limits.statementTime = .seconds(120)
        configuration.limits.maxPause = .seconds(60)
        configuration.limits.maxWriterPause = .seconds(60)
        adjust(&configuration)
        service = try QueryService(configuration, commitSink: commits, events: events)
    }

    struct Running {
        let queryId: String
        let handle: QueryHandle
        let sink: RecordingSink
    }

    /// Submits and returns at once.
    @discardableResult
    func start(
        _ sql: String,
        _ parameters: QueryParameters = .none,
        client: String = "ada",
        sink: RecordingSink = RecordingSink(),
        together turn: SubmissionTurn? = nil,
        _ adjust: (inout SQLRequest) -> Void = { _ in }
    ) -> Running {
        let queryId = "q\(lastId.add(1, ordering: .relaxed).newValue)"
        var request = SQLRequest(queryId: queryId, sql: sql, parameters: parameters)
        adjust(&request)
        let handle = service.submit(request, for: ClientKey(client), sink: sink, together: turn)
        return Running(queryId: request.queryId, handle: handle, sink: sink)
    }

    /// Submits and waits for the end.
    @discardableResult
    func run(
        _ sql: String,
        _ parameters: QueryParameters = .none,
        client: String = "ada",
        _ adjust: (inout SQLRequest) -> Void = { _ in }
    ) async -> (end: RecordingSink.End, log: RecordingSink.Log) {
        let running = start(sql, parameters, client: client, adjust)
        let end = await running.sink.end()
        return (end, running.sink.log)
    }

    /// The rows of a query that must succeed.
    func rows(_ sql: String, client: String = "ada") async -> [[SQLiteValue]] {
        await run(sql, client: client).log.rows
    }
}

final class CommitLog: CommitSink {
    private struct State {
        var commits: [ServiceCommit] = []
        var level = CaptureLevel.values
        var begun = 0
        var failed = 0
        var rests = 0
        var restWaiters: [CheckedContinuation<Void, Never>] = []
        var isWithholding = false
        var withheld: [(receipt: CommitReceipt, position: String)] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state = Mutex(State())
    private let reaction = Mutex<(@Sendable (ServiceCommit) -> Void)?>(nil)
    let readsLog: Bool

    init(readsLog: Bool) { self.readsLog = readsLog }

    var all: [ServiceCommit] { state.withLock { $0.commits } }
    var begun: Int { state.withLock { $0.begun } }
    var failed: Int { state.withLock { $0.failed } }
    /// Calls `body` on the writer's thread, within each later commit.
    func onCommit(_ body: @escaping @Sendable (ServiceCommit) -> Void) { reaction.withLock { $0 = body } }
    func setLevel(_ level: CaptureLevel) { state.withLock { $0.level = level } }

    var captureLevel: CaptureLevel { state.withLock { $0.level } }
    func willCommit() { state.withLock { $0.begun += 1 } }
    func didNotCommit() { state.withLock { $0.failed += 1 } }

    func writerRests() {
        let waiters = state.withLock { state in
            state.rests += 1
            defer { state.restWaiters = [] }
            return state.restWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// How often the writer had nothing more to run after a commit that others followed.
    var rests: Int { state.withLock { $0.rests } }

    /// Suspends until the writer rests for the first time.
    func waitForRest() async {
        await withCheckedContinuation { continuation in
            let hasRested = state.withLock { state in
                if state.rests == 0 { state.restWaiters.append(continuation) }
                return state.rests > 0
            }
            if hasRested { continuation.resume() }
        }
    }

    func committed(_ commit: ServiceCommit) -> CommitReceipt {
        reaction.withLock { $0 }?(commit)
        return note(commit)
    }

    private func note(_ commit: ServiceCommit) -> CommitReceipt {
        state.withLock { state in
            state.commits.append(commit)
            let count = state.commits.count
            for waiter in state.waiters where waiter.count <= count { waiter.continuation.resume() }
            state.waiters.removeAll { $0.count <= count }
            let position = "test:\(count)"
            guard state.isWithholding else { return CommitReceipt(known: position) }
            let receipt = CommitReceipt()
            state.withheld.append((receipt, position))
            return receipt
        }
    }

    /// Withholds the positions of all later commits.
    func withholdReceipts() { state.withLock { $0.isWithholding = true } }

    func fulfilReceipts() {
        let withheld = state.withLock { state in
            defer { (state.withheld, state.isWithholding) = ([], false) }
            return state.withheld
        }
        for (receipt, position) in withheld { receipt.fulfil(position) }
    }

    /// Suspends until this number of transactions was committed.
    func wait(for count: Int) async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if state.commits.count >= count {
                    continuation.resume()
                } else {
                    state.waiters.append((count, continuation))
                }
            }
        }
    }
}

final class EventLog: QueryServiceEvents {
    private struct State {
        var rolledBack: [ClientKey] = []
        var failures: [QueryFailure] = []
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    var failures: [QueryFailure] { state.withLock { $0.failures } }

    func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure) {
        state.withLock { state in
            state.rolledBack.append(client)
            state.failures.append(failure)
            for waiter in state.waiters { waiter.resume() }
            state.waiters = []
        }
    }

    /// Suspends until a transaction was rolled back.
    func nextRollback() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if state.rolledBack.isEmpty { state.waiters.append(continuation) } else { continuation.resume() }
            }
        }
    }
}

/// Runs for hours unless it is ended.
let endlessQuery = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"

/// A million small rows, quickly.
let manyRows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000000) SELECT n FROM c"
