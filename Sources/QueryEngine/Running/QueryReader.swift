import SQLiteConnection

/// Runs read-only queries, one after the other, on a connection that cannot write. Detects queries that are not
/// read-only.
///
/// Belongs to the thread of one executor.
final class QueryReader {
    private let configuration: ServiceConfiguration
    private let planner: Planner
    private var guarded: GuardedConnection?
    private var generation = 0
    private let fileCheck: FileCheck

    init(_ configuration: ServiceConfiguration, planner: Planner, fileCheck: FileCheck) {
        self.configuration = configuration
        self.planner = planner
        self.fileCheck = fileCheck
    }

    /// Opens the connection before the first query; that query reports a failure.
    func prepare() { _ = try? open(generation: generation, for: .now) }

    func close() { guarded = nil }

    /// How long a cancelled query may take to stop by itself: twice as long as SQLite sorts without a callback. Some
    /// never do, such as `SELECT count(*)`.
    private static let interruptDelay = Duration.milliseconds(25)

    /// - Parameters:
    ///   - onSettle: called when the query is known to be read-only.
    ///   - onPause: called when the query begins and ends to sleep for its receiver.
    ///   - onCancel: called with the result of a cancelled query as soon as it is known, within SQLite's callbacks.
    /// - Returns: the result; nil when the query must run on the writer.
    func run(
        _ query: Query,
        generation: Int,
        onSettle: @escaping () -> Void,
        onPause: @escaping (Bool) -> Void,
        onCancel: @escaping (QueryResult) -> Void
    ) -> QueryResult? {
        let run = QueryRun(query, limits: configuration.limits, access: .reader, planner: planner)
        run.onStart = onSettle
        run.onPause = onPause
        run.onCancel = onCancel
        do throws(QueryStop) {
            let guarded: GuardedConnection
            do { guarded = try open(generation: generation, for: query.submittedAt) } catch {
                throw QueryStop.failed(QueryFailure(error))
            }
            try execute(run, on: guarded)
            // The sink sends the rest of the rows with the end.
            return .completed(
                QueryOutcome(
                    rowCount: run.rowCount,
                    duration: query.elapsed,
                    changes: 0,
                    truncated: run.isTruncated,
                    inTransaction: false
                )
            )
        } catch {
            switch error {
            case .needsWriter:
                // Rows of it have been sent, so it cannot run from its beginning on the writer.
                if run.hasStarted { return .failed(.schemaChangedMeanwhile) }
                return nil
            case .cancelled(let reason):
                run.flush()
                return .cancelled(reason, rowCount: run.rowCount)
            case .failed(var failure):
                run.flush()
                // The next query opens the file that has the name then.
                if failure.code == .databaseGone { guarded = nil }
                failure.rowCount = run.rowCount
                return .failed(failure)
            case .sqlite(let error):
                return .failed(QueryFailure(error))
            }
        }
    }

    /// - Parameter submittedAt: a query must read a file that had the name then or later.
    private func open(
        generation: Int,
        for submittedAt: ContinuousClock.Instant
    ) throws(SQLiteError) -> GuardedConnection {
        if generation != self.generation { guarded = nil }
        if let guarded, guarded.isUsable, fileCheck.isInPlace(guarded.connection, since: submittedAt) { return guarded }
        guarded = nil
        let opened = try GuardedConnection(configuration, access: .reader)
        guarded = opened
        self.generation = generation
        return opened
    }

    private func execute(_ run: QueryRun, on guarded: GuardedConnection) throws(QueryStop) {
        let query = run.query
        try query.attach(guarded, interruptDelay: Self.interruptDelay)
        do { try guarded.begin(query.request.policy, access: .reader) } catch {
            query.detach()
            throw guarded.explain(error, query, statementIndex: 0)
        }
        guarded.handlers.run = run
        defer {
            query.detach()
            guarded.end()
        }
        if query.outline.statementCount > 1 {
            try classify(query, on: guarded)
            try runScript(run, on: guarded)
        } else {
            var binder = ParameterBinder(query.request.parameters)
            var script = Script(query.request.sql)
            guard try runNext(of: &script, index: 0, &binder, run, on: guarded) else {
                throw .failed(.noStatement)
            }
        }
    }

    /// Throws `needsWriter` when any statement does. The check stops at a statement that does not compile: the
    /// statements before it only read, and so do not create what it misses.
    private func classify(_ query: Query, on guarded: GuardedConnection) throws(QueryStop) {
        var script = Script(query.request.sql)
        var index = 0
        do {
            while let statement = try guarded.compileNext(of: &script) {
                try guarded.authorizer.check(statement)
                if statement.writes { throw QueryStop.needsWriter }
                index += 1
            }
        } catch {
            if guarded.authorizer.needsWriter { throw .needsWriter }
            guard error is SQLiteError else {
                throw guarded.explain(error, query, statementIndex: index, offset: offset(of: script, query))
            }
        }
        guarded.authorizer.forgetStatement()
    }

    /// An atomic script reads a single snapshot of the database.
    private func runScript(_ run: QueryRun, on guarded: GuardedConnection) throws(QueryStop) {
        let query = run.query
        let isAtomic = query.request.atomic
        do { if isAtomic { try guarded.executeUnguarded("BEGIN") } } catch {
            throw guarded.explain(error, query, statementIndex: 0)
        }
        defer {
            query.detach()
            if !guarded.connection.isInAutocommit { try? guarded.executeUnguarded("ROLLBACK") }
        }
        var binder = ParameterBinder(query.request.parameters)
        var script = Script(query.request.sql)
        var index = 0
        while try runNext(of: &script, index: index, &binder, run, on: guarded) { index += 1 }
        if index == 0 { throw .failed(.noStatement) }
    }

    private func runNext(
        of script: inout Script,
        index: Int,
        _ binder: inout ParameterBinder,
        _ run: QueryRun,
        on guarded: GuardedConnection
    ) throws(QueryStop) -> Bool {
        let query = run.query
        run.statementIndex = index
        do {
            let isOnly = query.outline.statementCount == 1
            let next =
                try isOnly ? guarded.statement(of: &script, query.request.policy) : guarded.compileNext(of: &script)
            guard var statement = next else { return false }
            try guarded.authorizer.check(statement)
            if statement.writes { throw QueryStop.needsWriter }
            guarded.boundValues()
            try binder.bind(to: statement, isLast: script.isAtEnd)
            run.start(readOnly: true)
            try run.step(&statement, index: index, mustFinish: false)
            guarded.keep(statement)
            return true
        } catch {
            throw guarded.explain(error, query, statementIndex: index, offset: offset(of: script, query))
        }
    }

    private func offset(of script: Script, _ query: Query) -> Int? {
        query.outline.statementCount > 1 ? script.statementOffset : nil
    }
}

extension QueryFailure {
    fileprivate static let schemaChangedMeanwhile = QueryFailure(
        .sqlError,
        "another process changed the schema while the script ran, and now it would write: run it again"
    )

    static let noStatement = QueryFailure(
        .sqlError,
        "there is no statement in the SQL: it is empty or holds only comments and semicolons"
    )
}

extension Script {
    /// Where the statement itself begins, after white space and comments.
    var statementOffset: Int { ScriptOutline.firstSignificantByte(of: sql, from: offset) }

    /// Whether only white space, comments and semicolons are left.
    var isAtEnd: Bool { ScriptOutline.firstSignificantByte(of: sql, from: tail) >= sql.utf8.count }
}
