import SQLiteConnection

/// A connection with everything on it that keeps queries in bounds: limits, the policy's authorizer, the progress and busy
/// handlers.
///
/// Belongs to one worker's thread.
final class GuardedConnection {
    let connection: Connection
    let authorizer = StatementAuthorizer()
    let handlers: ExecutionHandlers
    /// For the last policy with a list of tables, and the schema that it was made of.
    private var visibleSchema: (schema: VisibleSchema, readable: TableNames, version: [[SQLiteValue]])?
    /// Of the thread that opened the connection, and alone uses it.
    let resources = ResourceBudget.ofThisThread()
    private let limits: QueryLimits
    private var schemaVersionStatement: SQLiteConnection.Statement?
    /// Whether the schema uses LIKE or GLOB, as of one version of it.
    private var schemaPatterns: (version: Int64, areUsed: Bool)?
    /// The values of the statement compiled last are bounded for that reason.
    private var comparesPatterns = false

    /// - Parameter observer: sees every action before the policy does, and says whether it is no concern of the policy.
    init(
        _ configuration: ServiceConfiguration,
        access: Ticket.Access,
        observer: ((borrowing AuthorizerRequest) -> Bool)? = nil
    ) throws(SQLiteError) {
        let limits = configuration.limits
        connection = try Connection(
            path: configuration.path,
            // A reader too can be the first to come after a writer that died in the midst of a commit, and what that left is
            // rolled back only by a connection that could write. `query_only` keeps readers from anything else.
            mode: .readWrite,
            isURI: configuration.isURI,
            chargesTemporaryFiles: true
        )
        self.limits = limits
        handlers = ExecutionHandlers(busyTimeout: limits.busyTimeout)
        handlers.install(on: connection)
        try limits.evaluation.apply(to: connection)
        try connection.execute("PRAGMA hard_heap_limit = \(limits.maxHeapBytes)")
        try connection.execute("PRAGMA cache_size = -\(max(limits.cacheBytes >> 10, 1))")
        switch access {
        case .reader:
            try connection.execute("PRAGMA query_only = ON")
        case .writer:
            try connection.execute("PRAGMA cache_spill = -\(max(limits.maxChangedPageBytes >> 10, 1))")
            try connection.execute("PRAGMA foreign_keys = \(configuration.enforcesForeignKeys ? "ON" : "OFF")")
        }
        // Set once: setting it anew would compile every statement of the connection again.
        connection.setAuthorizer { [authorizer] request in
            if let observer, observer(request) { return .allow }
            return authorizer.authorize(request)
        }
        // Reads the file, so that one which is no database is found out now.
        try connection.execute("SELECT count(*) FROM sqlite_schema")
    }

    /// From now on the statements of a query are compiled.
    func begin(_ policy: SQLPolicy, access: Ticket.Access) throws(SQLiteError) {
        resources.begin(limits.resources)
        let tables = policy.readableTables == nil ? [] : try tableNames()
        authorizer.begin(policy, access: access, tables: TableNames(tables))
    }

    /// The query is over: no statement of it is compiled or run any more.
    func end() {
        handlers.run = nil
        authorizer.end()
        resources.end()
    }

    /// Bounds the values that the statement compiled last may handle. Where it uses LIKE or GLOB, by itself or in a CHECK
    /// constraint, a generated column or an index, they get less, because nothing interrupts a single comparison.
    func boundValues() {
        let (most, least) = (limits.evaluation.maxValueBytes, limits.evaluation.maxPatternTextBytes)
        comparesPatterns = most > least && (authorizer.statement.comparesPatterns || schemaComparesPatterns())
        connection.setLimit(.valueBytes, comparesPatterns ? min(most, least) : most)
    }

    /// SQLite does not say of an expression of the schema that a statement evaluates it.
    private func schemaComparesPatterns() -> Bool {
        // Nothing is read where the transaction has begun and has no snapshot yet: a write that takes one later than this would
        // fail when another process commits in between.
        guard connection.isInAutocommit || connection.hasSnapshot else { return schemaPatterns?.areUsed ?? true }
        handlers.isPatient = false
        defer { handlers.isPatient = true }
        do throws(SQLiteError) {
            // What is read here is less than a page, and no authorizer is asked when a statement is run again.
            let version = try authorizer.unguarded { () throws(SQLiteError) in try schemaVersion() }
            if let known = schemaPatterns, known.version == version { return known.areUsed }
            let areUsed = try authorizer.unguarded { () throws(SQLiteError) in
                try connection.query("SELECT sql FROM main.sqlite_schema WHERE type IN ('table', 'index')").contains {
                    row in
                    if case .text(let sql)? = row.first { EvaluationPolicy.comparesPatterns(sql) } else { false }
                }
            }
            schemaPatterns = (version, areUsed)
            return areUsed
        } catch {
            // Another process has the file to itself, or the query was cancelled: what was known last is the best guess, and
            // what is not known is bounded.
            return schemaPatterns?.areUsed ?? true
        }
    }

    private func schemaVersion() throws(SQLiteError) -> Int64 {
        if schemaVersionStatement == nil {
            schemaVersionStatement = try connection.prepare("PRAGMA main.schema_version", persistent: true)
        }
        defer { schemaVersionStatement?.reset() }
        _ = try schemaVersionStatement?.step()
        return schemaVersionStatement?.integer(0) ?? 0
    }

    private func tableNames() throws(SQLiteError) -> [String] {
        let sql = """
            SELECT name FROM sqlite_schema UNION SELECT name FROM sqlite_temp_schema UNION
            SELECT name FROM pragma_module_list WHERE name NOT IN ('json_each', 'json_tree')
            """
        return try connection.query(sql).compactMap { row in
            if case .text(let name)? = row.first { name } else { nil }
        }
    }

    /// Compiles the next statement of a script; nil at the end.
    ///
    /// SQLite compiles with the schema as the connection read it last, and only for some of its errors does it look whether
    /// another process has changed it since. So an error is believed when the schema has been looked at.
    func compileNext(of script: inout Script) throws -> Statement? {
        try authorizer.check(script)
        let beginning = script
        do {
            return try script.next(on: connection)
        } catch {
            guard error.code.primary == .error, authorizer.denial == nil, !authorizer.needsWriter else { throw error }
            forgetStaleSchema()
            script = beginning
            authorizer.forgetStatement()
            return try script.next(on: connection)
        }
    }

    /// Looks at the number of the schema in the file, without beginning a transaction that would remain.
    private func forgetStaleSchema() {
        authorizer.unguarded {
            // A table that is not found is one of the errors for which SQLite itself looks. That it is not found is all that
            // can come of it.
            _ = try? connection.query("SELECT 1 FROM \"tablecast: no such table\"")
        }
    }

    /// Runs the service's own SQL, which no policy concerns and no cancel interrupts.
    func executeUnguarded(_ sql: String) throws(SQLiteError) {
        handlers.isInterruptible = false
        defer { handlers.isInterruptible = true }
        try authorizer.unguarded { () throws(SQLiteError) in try connection.execute(sql) }
    }

    /// What an error of SQLite's means for the query that runs.
    ///
    /// - Parameter isRunning: whether the statement compiled, and failed as it ran.
    private func explain(
        sqlite error: SQLiteError,
        _ control: QueryControl,
        statementIndex: Int,
        offset: Int? = nil,
        isRunning: Bool = false
    ) -> Ended {
        if authorizer.needsWriter { return .needsWriter }
        switch error.code.primary {
        case .interrupt, .busy, .locked, .abort, .outOfMemory:
            // A busy handler that gives up because of a cancel looks like a lock that was not given up in time.
            if let reason = control.cancelReason { return .cancelled(reason) }
        case .error, .auth, .corrupt:
            if let failure = visibleFailure(error, control, offset: offset, isRunning: isRunning) {
                return .failed(failure.located(statementIndex, failure.offset))
            }
        default: break
        }
        var failure = QueryFailure(error, statementIndex: statementIndex)
        failure.offset = failure.offset ?? offset
        if let denial = authorizer.denial {
            failure.code = denial.code
            failure.message = "\(denial.reason) (\(error.message))"
        }
        if error.message.hasPrefix("unsafe use of") { failure.code = .notAuthorized }
        if let exhausted = exhausted(by: error) { (failure.code, failure.message) = (.tooBig, exhausted) }
        if error.code.primary == .tooBig, comparesPatterns {
            let limit = limits.evaluation.maxPatternTextBytes
            let place = authorizer.statement.comparesPatterns ? "a statement" : "a database"
            failure.message += "; in \(place) with LIKE or GLOB a value may have \(limit) bytes"
        }
        if error.code == .constraintCommitHook {
            failure = .fileMoved
            failure.statementIndex = statementIndex
        } else if error.code == .busySnapshot {
            failure.message =
                "the transaction reads an older state of the database, which has been changed since: roll it back and "
                + "begin it again (\(error.message))"
        } else if failure.code == .busy {
            failure.message = "the database is locked by another process (\(error.message))"
        }
        return .failed(failure)
    }

    /// What a client with a list of tables is told instead of an error that can name others; nil where the error is its own.
    private func visibleFailure(
        _ error: SQLiteError,
        _ control: QueryControl,
        offset: Int?,
        isRunning: Bool
    ) -> QueryFailure? {
        let policy = control.request.policy
        guard let readable = policy.readableTables else { return nil }
        let start = offset ?? 0
        // A row that is written by its key has statements that the request does not.
        let isRowWrite = control.request.rowWrite != nil
        let sql =
            isRowWrite ? error.sql ?? "" : String(decoding: control.request.sql.utf8.dropFirst(start), as: UTF8.self)
        do {
            let schema = try makeVisibleSchema(readable)
            let isInTransaction = authorizer.isInTransaction
            if var failure = try schema.problem(with: sql, policy, isInTransaction: isInTransaction) {
                failure.offset = failure.offset.map { $0 + start } ?? offset
                return failure
            }
        } catch {
            // Without the schema there is no telling what the error may say.
            return .reachesOtherTables
        }
        if let denial = authorizer.denial { return denial.isOfTable ? .reachesOtherTables : nil }
        return isRunning && error.code.primary == .error ? nil : .reachesOtherTables
    }

    private func makeVisibleSchema(_ readable: TableNames) throws(SQLiteError) -> VisibleSchema {
        handlers.isInterruptible = false
        defer { handlers.isInterruptible = true }
        return try authorizer.unguarded { () throws(SQLiteError) in
            // The temporary schema is the client's own.
            let version = try connection.query("PRAGMA main.schema_version")
            if let known = visibleSchema, known.readable == readable, known.version == version { return known.schema }
            let schema = try VisibleSchema(of: connection, readable: readable)
            visibleSchema = (schema, readable, version)
            return schema
        }
    }

    /// What the query ran out of, where that is why SQLite failed.
    private func exhausted(by error: SQLiteError) -> String? {
        guard error.code.primary == .outOfMemory || error.code.primary == .full else { return nil }
        let bounds = limits.resources
        return switch resources.exhaustion {
        case .heap: "the query needs more than \(bounds.maxHeapBytes) bytes of memory, which is the limit of one"
        case .temporaryFiles:
            "the query needs more than \(bounds.maxTemporaryBytes) bytes of temporary files, which is the limit of one"
        case .temporaryFilesOfAll:
            "all queries together need more than \(bounds.maxTotalTemporaryBytes) bytes of temporary files, which is the limit"
        case .starved, nil: nil
        }
    }

    /// What an error of any kind means for the query that runs.
    ///
    /// - Parameter offset: where the statement begins, if there are others.
    func explain(
        _ error: any Error,
        _ control: QueryControl,
        statementIndex: Int,
        offset: Int? = nil
    ) -> Ended {
        switch error {
        case let error as SQLiteError:
            return explain(sqlite: error, control, statementIndex: statementIndex, offset: offset)
        case StepError.sqlite(let error):
            return explain(sqlite: error, control, statementIndex: statementIndex, offset: offset, isRunning: true)
        case StepError.ended(.failed(var failure)):
            failure.statementIndex = statementIndex
            return .failed(failure)
        case let failure as QueryFailure:
            return .failed(failure.located(statementIndex, offset))
        case let ended as Ended, StepError.ended(let ended):
            return ended
        default:
            return .failed(QueryFailure(.internal, "\(error)"))
        }
    }
}

/// What a connection's progress and busy handlers call: the query that runs, while one does.
///
/// Belongs to the connection's thread.
final class ExecutionHandlers {
    /// How many steps of the virtual machine lie between two calls: some ten microseconds.
    static let steps = 1_000

    var run: QueryRun?
    /// Off during a commit or a rollback, which must not be interrupted.
    var isInterruptible = true
    /// Off where a lock that another process has is not waited for.
    var isPatient = true
    private let busyTimeout: Duration
    private var waitingSince = ContinuousClock.now

    init(busyTimeout: Duration) { self.busyTimeout = busyTimeout }

    func install(on connection: Connection) {
        connection.setProgressHandler(everySteps: Self.steps) { [self] in
            guard let run, isInterruptible else { return .proceed }
            return run.tick()
        }
        connection.setBusyHandler { [self] attempt in waits(attempt: attempt) }
    }

    /// Sleeps a little before the next attempt to get a lock; false to give up. A cancel ends the sleep.
    private func waits(attempt: Int) -> Bool {
        guard isPatient else { return false }
        if attempt == 0 { waitingSince = .now }
        let left = busyTimeout - waitingSince.duration(to: .now)
        guard left > .zero else { return false }
        let delay = min(Duration.milliseconds(1 << min(attempt, 5)), .milliseconds(25), left)
        guard let run else {
            Parker().sleep(atMost: delay)
            return true
        }
        if run.control.isCancelled { return false }
        run.control.parker.sleep(atMost: delay)
        run.tickWaiting()
        return !run.control.isCancelled
    }
}
