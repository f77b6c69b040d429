import ChangeCapture
import SQLiteConnection

/// The thread that runs whole queries, each batch in one read transaction, as of one position.
///
/// In WAL mode no writer waits for it. With a rollback journal writers wait as long as the batch takes, which
/// ``LiveLimits/maxRunTime`` limits for each query.
final class Reader: Sendable {
    /// A query to run again, with what another thread needs for it.
    struct Run: Sendable {
        var id: LiveQueryID
        var generation: Int
        var sql: String
        var values: [SQLiteValue]
        var rights: LiveRights
        var isOrdered: Bool
        var key: [Int]?
        var mustCheckKey: Bool
    }

    enum Job: Sendable {
        case compile(LiveSubscriberID, client: UInt64, LiveQueryRequest)
        case recompile(LiveQueryID, generation: Int, LiveQueryRequest)
        case snapshot(Run)
        /// The result is compared with the rows sent last.
        case run(Run, previous: LiveRows)
    }

    private struct State: Sendable {
        var jobs: [Job] = []
        var isStopped = false
    }

    /// How long the watcher may take to reach the state that a transaction sees.
    private static let beginTimeout = Duration.seconds(10)

    private let watcher: DatabaseWatcher
    private let engine: LiveQueryEngine
    private let state = Monitor(State())
    private let thread: Monitor<NamedThread?> = Monitor(nil)

    init(watcher: DatabaseWatcher, engine: LiveQueryEngine) {
        self.watcher = watcher
        self.engine = engine
    }

    func start() throws(WatchError) {
        let started = try WatchError.startThread("live-reader", priority: .low) { [self] in work() }
        thread.update { $0 = started }
    }

    func stop() {
        state.update { $0.isStopped = true }
        let started = thread.update { thread in
            defer { thread = nil }
            return thread
        }
        started?.join()
    }

    func add(_ job: Job) { state.update { $0.jobs.append(job) } }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    // MARK: On its thread

    private func work() {
        while true {
            let jobs: [Job]? = state.wait(atMost: .seconds(1)) { state in
                if state.isStopped { return [] }
                if state.jobs.isEmpty { return nil }
                defer { state.jobs = [] }
                return state.jobs
            }
            guard let jobs else { continue }
            if jobs.isEmpty { return }
            perform(jobs)
        }
    }

    private func perform(_ jobs: [Job]) {
        let begun = Monitor<Result<(ReadTransaction, LivePosition), WatchError>?>(nil)
        watcher.beginRead { [engine] result in
            // On the watcher's thread: the transaction sees the state that it delivered last.
            let position = engine.mailbox.withLock { $0.feedPosition }
            let isLate = begun.update { begun in
                if begun != nil { return true }
                begun = result.map { ($0, position) }
                return false
            }
            if isLate, case .success(let transaction) = result { transaction.end() }
        }
        let deadline = ContinuousClock.now + Self.beginTimeout
        var answer: Result<(ReadTransaction, LivePosition), WatchError>?
        while answer == nil, !isStopped, ContinuousClock.now < deadline {
            answer = begun.wait(atMost: .milliseconds(100)) { $0 }
        }
        if answer == nil {
            answer = begun.update { begun in
                begun = begun ?? .failure(.tooBusy)
                return begun
            }
        }
        switch answer {
        case .success((let transaction, let position)):
            post(.readerBegan(position))
            perform(jobs, transaction.connection, at: position)
            transaction.end()
        case .failure(let error):
            post(.readerFailed(jobs, LiveRefusal(.unavailable, "the database cannot be read: \(error)")))
        case nil:
            return
        }
    }

    private func perform(_ jobs: [Job], _ connection: Connection, at position: LivePosition) {
        let deadline = Deadline(isStopped: { [weak self] in self?.isStopped ?? true })
        deadline.install(on: connection)
        defer { connection.setProgressHandler(everySteps: 0, nil) }
        LiveEvaluation.bound(connection)
        var compiler: Result<QueryCompiler, LiveRefusal>?
        for job in jobs {
            if isStopped { return }
            switch job {
            case .compile(let subscriber, let client, let request):
                let known = compiler ?? makeCompiler(connection, deadline)
                compiler = known
                post(.compiled(subscriber, client: client, request, position, plan(request, known)))
            case .recompile(let id, let generation, let request):
                let known = compiler ?? makeCompiler(connection, deadline)
                compiler = known
                post(.recompiled(id, generation: generation, position, plan(request, known)))
            case .snapshot(let run):
                let result = rows(run, connection, deadline)
                post(.snapshot(run.id, generation: run.generation, position, result))
            case .run(let run, let previous):
                let start = ContinuousClock.now
                let result = rows(run, connection, deadline)
                var changes: [LiveRowChange] = []
                if case .success(let rows) = result {
                    changes =
                        run.isOrdered
                        ? RowDifference.ordered(previous.rows, rows.rows, key: run.key)
                        : RowDifference.unordered(previous.rows, rows.rows, key: run.key)
                }
                post(.run(run.id, generation: run.generation, position, .now - start, result, changes))
            }
        }
    }

    private func makeCompiler(_ connection: Connection, _ deadline: Deadline) -> Result<QueryCompiler, LiveRefusal> {
        deadline.start(engine.limits.maxRunTime)
        defer { deadline.clear() }
        do throws(SQLiteError) {
            let schema = try SchemaSnapshot.load(from: connection)
            return .success(try QueryCompiler(connection, schema: schema, limits: engine.limits))
        } catch {
            return .failure(LiveRefusal(.unavailable, "the schema cannot be read: \(error.message)"))
        }
    }

    private func plan(
        _ request: LiveQueryRequest,
        _ compiler: Result<QueryCompiler, LiveRefusal>
    ) -> Result<LivePlan, LiveRefusal> {
        do throws(LiveRefusal) { return .success(try compiler.get().plan(request)) } catch { return .failure(error) }
    }

    private func rows(_ run: Run, _ connection: Connection, _ deadline: Deadline) -> Result<LiveRows, LiveRefusal> {
        let limits = engine.limits
        deadline.start(limits.maxRunTime)
        defer { deadline.clear() }
        var refusal: LiveRefusal?
        do throws(SQLiteError) {
            return try connection.withRowRules(run.rights.rules) { access, _ throws(SQLiteError) in
                // The schema can differ from the one with which the query was compiled.
                let reads = ReadSet(run.rights, ruleAccess: access)
                defer { refusal = reads.refusal }
                let statement = try compile(run, reads, on: connection)
                if let refusal = reads.refusal { return .failure(refusal) }
                return try rows(run, statement)
            }
        } catch {
            if deadline.isExceeded {
                return .failure(LiveRefusal(.limit, "the query takes longer than \(limits.maxRunTime)"))
            }
            return .failure(run.rights.refusal(error, refusal))
        }
    }

    /// The authorizer does not see what virtual tables compile while the statement runs.
    private func compile(_ run: Run, _ reads: ReadSet, on connection: Connection) throws(SQLiteError) -> KeptStatement {
        connection.connectVirtualTables(of: run.sql)
        connection.setAuthorizer { reads.note($0) }
        let statement: KeptStatement
        do {
            defer { connection.setAuthorizer(nil) }
            statement = try KeptStatement(run.sql, on: connection)
        }
        if run.rights.concealment != nil {
            try reads.noteProgram(of: run.sql, on: connection, OpenedTables.tableOfRoot(on: connection))
        }
        return statement
    }

    private func rows(_ run: Run, _ statement: KeptStatement) throws(SQLiteError) -> Result<LiveRows, LiveRefusal> {
        let limits = engine.limits
        try statement.bind(run.values)
        var builder = RowBuilder()
        var rows: [Row] = []
        var byteCount = 0
        try statement.forEachRow(&builder) { row in
            rows.append(row)
            byteCount += row.byteCount
            return rows.count <= limits.maxRows && byteCount <= limits.maxResultBytes
        }
        if rows.count > limits.maxRows {
            return .failure(LiveRefusal(.limit, "the result has more than \(limits.maxRows) rows"))
        }
        if byteCount > limits.maxResultBytes {
            return .failure(LiveRefusal(.limit, "the result has more than \(limits.maxResultBytes) bytes"))
        }
        if run.mustCheckKey, let key = run.key {
            var seen: Set<Row> = []
            for row in rows where !seen.insert(row.selecting(key)).inserted {
                return .failure(LiveRefusal(.notLive, "two rows of the result have the same key"))
            }
        }
        return .success(LiveRows(rows, columnCount: statement.statement.columnCount))
    }

    private func post(_ command: LiveQueryEngine.Command) { engine.mailbox.update { $0.commands.append(command) } }
}
