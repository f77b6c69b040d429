import SQLiteConnection

/// A connection with everything that keeps queries within bounds: limits, the policy's authorizer, the progress and
/// busy handlers.
///
/// Belongs to one worker's thread.
final class GuardedConnection {
    let connection: Connection
    let authorizer = StatementAuthorizer()
    let handlers: ExecutionHandlers
    /// False when a view of an earlier query could not be removed: then the connection is not used again.
    private(set) var isUsable = true
    private let schema: SchemaFacts
    private let access: Ticket.Access
    /// The budget of the thread that opened the connection and uses it exclusively.
    let resources = ResourceBudget.ofThisThread()
    private let limits: QueryLimits
    /// Whether statements are kept to run again: not where each must be compiled, so that an observer sees its actions.
    var reusesStatements = true
    private var statements: StatementCache
    /// Of the statement that runs now, if it is to be kept.
    private var entry: StatementCache.Entry?
    /// The version of the schema that the next statement was compiled for, if it was read.
    private var statementVersion: Int64?
    private var ownStatements: [String: OwnStatement] = [:]
    /// The values of the statement compiled last are bounded for that reason.
    private var comparesPatterns = false
    private var ruleViews = RowRuleViews()
    /// Of the running query.
    private var policy: SQLPolicy?
    /// Of the running query, if its policy has rules.
    private var ruleAccess: RowRuleAccess?

    /// - Parameter observer: sees every action before the policy does; true when the policy does not apply to it.
    init(
        _ configuration: ServiceConfiguration,
        access: Ticket.Access,
        observer: ((borrowing AuthorizerRequest) -> Bool)? = nil
    ) throws(SQLiteError) {
        let limits = configuration.limits
        connection = try Connection(
            path: configuration.path,
            // A reader can also be the first to open the file after a writer died during a commit, and only a
            // connection that can write rolls the remains back. `query_only` prevents all other writes by readers.
            mode: .readWrite,
            isURI: configuration.isURI,
            chargesTemporaryFiles: true
        )
        self.limits = limits
        self.access = access
        statements = StatementCache(capacity: limits.maxCachedStatements)
        handlers = ExecutionHandlers(busyTimeout: limits.busyTimeout)
        schema = SchemaFacts(connection, authorizer, handlers)
        handlers.install(on: connection)
        try limits.evaluation.apply(to: connection)
        try connection.execute("PRAGMA hard_heap_limit = \(limits.maxTotalMemoryBytes)")
        try connection.execute("PRAGMA cache_size = -\(max(limits.cacheBytes >> 10, 1))")
        switch access {
        case .reader:
            try connection.execute("PRAGMA query_only = ON")
        case .writer:
            try connection.execute("PRAGMA cache_spill = -\(max(limits.maxChangedPageBytes >> 10, 1))")
            try connection.execute("PRAGMA foreign_keys = \(configuration.enforcesForeignKeys ? "ON" : "OFF")")
        }
        // Set once: setting it again would make SQLite compile every statement of the connection again.
        connection.setAuthorizer { [authorizer] request in
            if let observer, observer(request) { return .allow }
            return authorizer.authorize(request)
        }
        // Reads the file, so that a file that is not a database fails here.
        try connection.execute("SELECT count(*) FROM sqlite_schema")
    }

    /// Applies the policy to the statements compiled from now on.
    func begin(_ policy: SQLPolicy, access: Ticket.Access) throws(SQLiteError) {
        resources.begin(limits.resources)
        ruleAccess = policy.rowRules.map { RowRuleAccess($0) }
        var resolved = policy
        do throws(SQLiteError) {
            resolved = try schema.resolved(policy)
            // On the writer no table with a rule can be read.
            if let rules = policy.rowRules, access == .reader {
                ruleAccess = try ruleViews.create(rules, on: connection)
            }
        } catch {
            // The views of this query must not answer another one.
            if policy.rowRules != nil { isUsable = false }
            throw error
        }
        self.policy = resolved
        authorizer.begin(resolved, access: access, ruleAccess: ruleAccess)
    }

    /// The query is over: none of its statements is compiled or run any more.
    func end() {
        entry = nil
        statementVersion = nil
        schema.releaseSnapshot()
        handlers.run = nil
        authorizer.end()
        resources.end()
        do throws(SQLiteError) {
            try ruleViews.drop(on: connection)
        } catch {
            isUsable = false
        }
    }

    /// Runs the statements of a row write, which applies the rules itself: their claims have values, and `watch` is called before
    /// each row changes, also by triggers and foreign keys.
    func writingRow(
        under rules: SQLRowRules,
        watch: @escaping (borrowing PreUpdate) -> Void,
        _ body: () throws -> Void
    ) throws {
        try connection.registerClaims(rules.claims, as: SQLRowRules.claimFunction)
        authorizer.isRowWrite = true
        connection.setRowWatch(watch)
        defer {
            connection.setRowWatch(nil)
            authorizer.isRowWrite = false
            // It fails only without memory; no statement of another client may call the function.
            try? connection.registerClaims([:], as: SQLRowRules.claimFunction)
        }
        try body()
    }

    /// Limits the values that the last compiled statement may handle. A statement with LIKE or GLOB, of its own or in a CHECK
    /// constraint, a generated column or an index, gets a lower limit, because nothing interrupts a single comparison.
    func boundValues() {
        let (most, least) = (limits.evaluation.maxValueBytes, limits.evaluation.maxPatternTextBytes)
        let version = statementVersion.take()
        comparesPatterns =
            most > least
            && (authorizer.statement.comparesPatterns || schema.comparesPatterns(version ?? schema.version()))
        connection.setLimit(.valueBytes, comparesPatterns ? min(most, least) : most)
    }

    // MARK: Statements

    /// The only statement of a query: one that an earlier query has left, or compiled; nil when there is none in the SQL.
    ///
    /// Run it within the bounds of ``boundValues()``, and call ``keep(_:)`` when it has run without an error.
    func statement(of script: inout Script, _ policy: SQLPolicy) throws -> Statement? {
        // The settings and temporary objects of a client affect how SQL compiles.
        // Statements under rules are compiled for the views of one query.
        // A writer must not begin a transaction with a snapshot that it took earlier.
        guard reusesStatements, policy.rowRules == nil, !authorizer.isTainted,
            let version = schema.version(holdsSnapshot: access == .reader)
        else { return try compileNext(of: &script) }
        statementVersion = version
        let key = StatementCache.Key(sql: script.sql, policy: policy)
        if let entry = statements.entry(for: key, schemaVersion: version) {
            authorizer.recall(entry.traits)
            script.skipToEnd()
            self.entry = entry
            return statements.take(from: entry)
        }
        let isCandidate = statements.admits(key)
        let statement = try compileNext(of: &script, persistent: isCandidate)
        if isCandidate, script.isAtEnd, authorizer.statement.isReusable {
            entry = statements.makeEntry(key, authorizer.statement, schemaVersion: version)
        }
        return statement
    }

    /// Whether the SQL is one statement that an earlier query has left, and that wrote: then the query may begin its transaction
    /// before ``statement(of:_:)``, which finds the schema's version sooner within it.
    func isKnownWrite(_ sql: String, _ policy: SQLPolicy) -> Bool {
        reusesStatements && policy.rowRules == nil && !authorizer.isTainted
            && statements.isKnownWrite(StatementCache.Key(sql: sql, policy: policy))
    }

    /// The statement has run without an error.
    func keep(_ statement: consuming Statement) {
        if let entry = entry.take() { statements.keep(statement, in: entry) }
    }

    /// Compiles the next statement of a script; nil at the end.
    ///
    /// SQLite compiles with the schema that the connection read last, and checks only for some errors whether another
    /// process has changed it since. So an error is accepted only after the schema was checked.
    func compileNext(of script: inout Script, persistent: Bool = false) throws -> Statement? {
        try authorizer.check(script)
        let beginning = script
        do {
            return try checked(script.next(on: connection, persistent: persistent))
        } catch let error as SQLiteError {
            guard error.code.primary == .error, authorizer.denial == nil, !authorizer.needsWriter else { throw error }
            forgetStaleSchema()
            script = beginning
            authorizer.forgetStatement()
            return try checked(script.next(on: connection, persistent: persistent))
        }
    }

    private func checked(_ statement: consuming Statement?) throws -> Statement? {
        guard let compiled = consume statement else { return nil }
        try checkOpened(compiled)
        return compiled
    }

    /// Checks that the statement that was compiled last reads no other tables than permitted, where the authorizer cannot decide: see
    /// ``OpenedTables``.
    func checkOpened(_ compiled: borrowing Statement) throws {
        guard let policy, let readable = policy.readableTables else { return }
        let sql = ScriptOutline.explained(compiled.sql)
        let mayReadUnlisted = authorizer.statement.mayReadUnlisted
        let unreported = try UnreportedReads(sql).union(schema.unreportedReads())
        guard
            mayReadUnlisted || unreported.contains(.joinsByName)
                || authorizer.statement.insertsAnywhere && unreported.contains(.copiesRows)
        else { return }
        var opened = try authorizer.unguarded { () throws(SQLiteError) in
            try ruleViews.openedTables(of: sql, on: connection)
        }
        // An INSERT into a table with AUTOINCREMENT reads it.
        if !sql.lowercased().contains("sqlite_sequence") { opened.ignore("sqlite_sequence") }
        // A row write checks the rows that it reads by itself.
        let rules = authorizer.isRowWrite ? nil : ruleAccess
        var isPermitted =
            !opened.hasOther && opened.tables.allSatisfy { readable.contains($0) && rules?.isRuled($0) != true }
        // A program does not name views.
        if isPermitted, mayReadUnlisted { isPermitted = try visibleProblem(with: sql, policy, readable) == nil }
        // Like a refusal of the authorizer.
        guard isPermitted else { throw SQLiteError(code: .auth, message: "not authorized", sql: sql) }
    }

    /// Checks the schema cookie in the file, without leaving a transaction open.
    private func forgetStaleSchema() {
        authorizer.unguarded {
            // "No such table" is one of the errors for which SQLite itself checks. The only possible result is that
            // error.
            _ = try? connection.query("SELECT 1 FROM \"tablecast: no such table\"")
        }
    }

    /// Runs a statement of the service's own, to which no policy and no cancel applies.
    func executeUnguarded(_ sql: String) throws(SQLiteError) {
        handlers.isInterruptible = false
        defer { handlers.isInterruptible = true }
        try executeOwn(sql)
    }

    /// Runs a statement of the service's own, to which no policy applies: one of a few, which is compiled once.
    func executeOwn(_ sql: String) throws(SQLiteError) {
        try authorizer.unguarded { () throws(SQLiteError) in
            guard reusesStatements else { return try connection.execute(sql) }
            let own: OwnStatement
            if let known = ownStatements[sql] {
                own = known
            } else {
                own = OwnStatement(try connection.prepare(sql, persistent: true))
                ownStatements[sql] = own
            }
            while try own.statement.step() {}
        }
    }

    private final class OwnStatement {
        var statement: Statement
        init(_ statement: consuming Statement) { self.statement = consume statement }
    }

    /// Converts an error of SQLite for the query that runs.
    ///
    /// - Parameter isRunning: whether the statement compiled, and failed while running.
    private func explain(
        sqlite error: SQLiteError,
        _ query: Query,
        statementIndex: Int,
        offset: Int? = nil,
        isRunning: Bool = false
    ) -> QueryStop {
        if authorizer.needsWriter { return .needsWriter }
        switch error.code.primary {
        case .interrupt, .busy, .locked, .abort, .outOfMemory:
            // A busy handler that stops because of a cancel looks like a lock timeout.
            if let reason = query.cancelReason { return .cancelled(reason) }
        case .error, .auth, .corrupt:
            if let failure = visibleFailure(error, query, offset: offset, isRunning: isRunning) {
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
        if error.code.primary == .tooBig, comparesPatterns, !error.message.hasPrefix("the full-text search") {
            let limit = limits.evaluation.maxPatternTextBytes
            let place = authorizer.statement.comparesPatterns ? "a statement" : "a database"
            failure.message += "; in \(place) with LIKE or GLOB a value may have \(limit) bytes"
        }
        if error.code == .constraintCommitHook {
            failure = connection.isLogLost ? .logLost : .fileMoved
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

    /// The error that a client with a list of tables receives instead of one that can name other tables; nil when the
    /// error may be shown.
    private func visibleFailure(
        _ error: SQLiteError,
        _ query: Query,
        offset: Int?,
        isRunning: Bool
    ) -> QueryFailure? {
        guard let policy, let readable = policy.readableTables else { return nil }
        let start = offset ?? 0
        // A row write runs statements that the request does not contain.
        let isRowWrite = query.request.rowWrite != nil
        let sql =
            isRowWrite ? error.sql ?? "" : String(decoding: query.request.sql.utf8.dropFirst(start), as: UTF8.self)
        do {
            if var failure = try visibleProblem(with: sql, policy, readable) {
                failure.offset = failure.offset.map { $0 + start } ?? offset
                return failure
            }
        } catch {
            // Without the schema the content of the error cannot be judged.
            return .reachesOtherTables
        }
        if let denial = authorizer.denial {
            if denial.isOfTable { return .reachesOtherTables }
            // SQLite's own text can name the views of the rules.
            return policy.rowRules == nil ? nil : QueryFailure(denial.code, denial.reason)
        }
        if ruleViews.isNamed(in: error.message) { return .reachesOtherTables }
        return isRunning && error.code.primary == .error ? nil : .reachesOtherTables
    }

    private func visibleProblem(
        with sql: String,
        _ policy: SQLPolicy,
        _ readable: TableNames
    ) throws(SQLiteError) -> QueryFailure? {
        var policy = policy
        // The visible schema has no rows to hide.
        policy.rowRules = nil
        let visible = try schema.visible(readable)
        return try visible.problem(with: sql, policy, isInTransaction: authorizer.isInTransaction)
    }

    /// The exhausted resource, when that is why SQLite failed.
    private func exhausted(by error: SQLiteError) -> String? {
        guard error.code.primary == .outOfMemory || error.code.primary == .full else { return nil }
        let bounds = limits.resources
        return switch resources.exhaustion {
        case .heap: "the query needs more than \(bounds.maxHeapBytes) bytes of memory, which is the limit of one"
        case .temporaryFiles:
            "the query needs more than \(bounds.maxTemporaryBytes) bytes of temporary files, which is the limit of one"
        case .temporaryFilesOfAll:
            "all queries together need more than \(bounds.maxTotalTemporaryBytes) bytes of temporary files, which is the limit"
        case .textSearch:
            "a row has too many matches for the full-text search: use fewer phrases in NEAR, fewer terms, or shorter rows"
        case .starved, nil: nil
        }
    }

    /// Converts an error of any kind for the query that runs.
    ///
    /// - Parameter offset: where the statement begins, when there are several.
    func explain(
        _ error: any Error,
        _ query: Query,
        statementIndex: Int,
        offset: Int? = nil
    ) -> QueryStop {
        switch error {
        case let error as SQLiteError:
            return explain(sqlite: error, query, statementIndex: statementIndex, offset: offset)
        case QueryStop.sqlite(let error):
            return explain(sqlite: error, query, statementIndex: statementIndex, offset: offset, isRunning: true)
        case QueryStop.failed(var failure):
            failure.statementIndex = failure.statementIndex ?? statementIndex
            return .failed(failure)
        case let failure as QueryFailure:
            return .failed(failure.located(statementIndex, offset))
        case let stop as QueryStop:
            return stop
        default:
            return .failed(QueryFailure(.internal, "\(error)"))
        }
    }
}

/// The targets of a connection's progress and busy handlers: the running query, if there is one.
///
/// Belongs to the connection's thread.
final class ExecutionHandlers {
    /// Steps of the virtual machine between two calls: some ten microseconds.
    static let steps = 1_000

    var run: QueryRun?
    /// False during a commit or a rollback, which must not be interrupted.
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

    /// Sleeps briefly before the next attempt to get a lock; false to stop trying. A cancel ends the sleep.
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
        if run.query.isCancelled { return false }
        run.query.parker.sleep(atMost: delay)
        run.tickWaiting()
        return !run.query.isCancelled
    }
}
