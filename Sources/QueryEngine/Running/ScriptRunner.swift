import ChangeCapture
import SQLiteConnection

/// Runs the statements of one query on the writer, in the transaction that the request asks for.
struct ScriptRunner {
    /// The transaction around the statements.
    private enum Wrap {
        /// Each statement has a transaction of its own, or the script handles transactions itself.
        case none
        case transaction
        /// The client's open transaction surrounds the script.
        case savepoint
    }

    private let run: QueryRun
    private let session: WriterSession
    private let query: Query
    private let guarded: GuardedConnection
    private let wrap: Wrap

    init(_ run: QueryRun, on session: WriterSession) {
        self.run = run
        self.session = session
        query = run.query
        guarded = session.guarded
        let outline = run.query.outline
        let isScript = outline.statementCount > 1 && run.query.request.atomic && !outline.controlsTransactions
        let isWrapped = isScript || run.query.request.rowWrite != nil
        wrap = !isWrapped ? .none : session.isInTransaction ? .savepoint : .transaction
    }

    func execute() throws(QueryStop) {
        let outline = query.outline
        guard outline.statementCount > 0 else { throw .failed(.noStatement) }
        let wasOpen = session.isInTransaction
        if wasOpen {
            run.transaction = .open
        } else {
            // The last rowid of another client must not be visible to this one.
            guarded.connection.lastInsertRowid = 0
        }
        try query.attach(guarded)
        do { try guarded.begin(query.request.policy, access: .writer) } catch {
            query.detach()
            throw guarded.explain(error, query, statementIndex: 0)
        }
        guarded.handlers.run = run
        defer {
            query.detach()
            guarded.end()
        }
        do {
            try begin()
            if let rowWrite = query.request.rowWrite { try runRowWrite(rowWrite) } else { try runStatements() }
            try end()
        } catch {
            // From here on nothing may be interrupted.
            query.detach()
            undo(wasOpen: wasOpen)
            throw error
        }
    }

    private func begin() throws(QueryStop) {
        if wrap != .none { run.start(readOnly: false) }
        do {
            switch wrap {
            case .none: break
            case .transaction: try session.begin(run)
            case .savepoint: try session.beginSavepoint()
            }
        } catch { throw guarded.explain(error, query, statementIndex: 0) }
    }

    private func end() throws(QueryStop) {
        switch wrap {
        case .none: break
        case .transaction: try session.commit(run)
        case .savepoint:
            do { try session.releaseSavepoint() } catch {
                throw guarded.explain(error, query, statementIndex: run.statementIndex)
            }
        }
    }

    private func undo(wasOpen: Bool) {
        guard session.isInTransaction else {
            // SQLite has rolled back itself, which it does after some errors and when a write is interrupted.
            session.capture?.transactionDidRollBack()
            return
        }
        switch wrap {
        case .transaction: session.rollBack()
        case .savepoint: session.rollBackToSavepoint()
        case .none: if !wasOpen, query.request.atomic { session.rollBack() }
        }
    }

    private func runStatements() throws(QueryStop) {
        var binder = ParameterBinder(query.request.parameters)
        var script = Script(query.request.sql)
        var index = 0
        // Checks for the end first: after the last statement has committed, no cancel may change the query's outcome.
        while !script.isAtEnd {
            run.statementIndex = index
            // The commit of the previous statement detached it.
            try query.attach(guarded)
            guard try runNext(of: &script, &binder) else { break }
            index += 1
        }
        if index == 0 { throw .failed(.noStatement) }
    }

    private func runRowWrite(_ write: RowWrite) throws(QueryStop) {
        do {
            try RowWriter(write, run: run, session: session).execute()
        } catch { throw guarded.explain(error, query, statementIndex: 0) }
    }

    private func runNext(
        of script: inout Script,
        _ binder: inout ParameterBinder
    ) throws(QueryStop) -> Bool {
        guarded.authorizer.forgetStatement()
        guarded.authorizer.isInTransaction = session.isInTransaction
        let isOnly = query.outline.statementCount == 1
        let beginsAhead =
            isOnly && wrap == .none && !session.isInTransaction
            && guarded.isKnownWrite(script.sql, query.request.policy)
        do {
            if beginsAhead {
                run.start(readOnly: false)
                try session.begin(run)
            }
            let next =
                try isOnly ? guarded.statement(of: &script, query.request.policy) : guarded.compileNext(of: &script)
            guard var statement = next else {
                if beginsAhead { session.rollBack() }
                return false
            }
            try guarded.authorizer.check(statement)
            try checkConnectionState(statement, isLast: script.isAtEnd)
            guarded.boundValues()
            try binder.bind(to: statement, isLast: script.isAtEnd)
            try runOne(&statement, isBegun: beginsAhead)
            guarded.keep(statement)
            return true
        } catch {
            if beginsAhead {
                query.detach()
                session.rollBack()
            }
            throw guarded.explain(error, query, statementIndex: run.statementIndex, offset: offset(of: script))
        }
    }

    /// Rejects a statement whose effect would be undone before it could be used. A PRAGMA has taken effect by now: the
    /// connection is opened again before the next request.
    private func checkConnectionState(_ statement: borrowing Statement, isLast: Bool) throws(QueryFailure) {
        guard let state = guarded.authorizer.statement.connectionState, statement.explainLevel == 0 else { return }
        let isInTransactionOfClient = session.isInTransaction && wrap != .transaction
        guard isLast, !isInTransactionOfClient else { return }
        throw .withoutLastingEffect(state)
    }

    /// Where the failed statement begins, when there are several.
    private func offset(of script: Script) -> Int? {
        query.outline.statementCount > 1 ? script.statementOffset : nil
    }

    /// - Parameter isBegun: whether the transaction of the statement alone has begun already.
    private func runOne(_ statement: inout Statement, isBegun: Bool) throws {
        let kind = guarded.authorizer.statement
        let writes = statement.writes
        // With another schema the same text may only read.
        if isBegun, !writes { session.rollBack() }
        let isControl = kind.transaction != nil && statement.explainLevel == 0
        run.start(readOnly: !writes && !isControl && query.outline.statementCount == 1)
        if isControl { return try runControl(&statement, kind.transaction) }
        guard writes else { return try run.step(&statement, index: run.statementIndex, mustFinish: false) }

        let isVacuum = query.outline.verbs.contains(.vacuum) && ScriptOutline.verb(of: statement.sql) == .vacuum
        // These two cannot run, or have no effect, within a transaction.
        let needsTransaction = isBegun || !session.isInTransaction && !kind.isPragma && !isVacuum
        if needsTransaction, !isBegun { try session.begin(run) }
        // A PRAGMA that returns rows has already taken effect by then.
        if kind.isPragma, statement.columnCount > 0 { try run.endCancel() }
        do {
            if session.isInTransaction, !needsTransaction, !kind.isPragma, statement.columnCount > 0 {
                try runReturning(&statement)
            } else {
                try runWrite(&statement, isVacuum: isVacuum, isAlone: needsTransaction)
            }
            if needsTransaction {
                try session.commit(run)
            } else if !session.isInTransaction {
                // A PRAGMA or a VACUUM may have committed by itself.
                session.committed(run)
            }
        } catch {
            query.detach()
            if needsTransaction { try end(error) } else if !session.isInTransaction { session.settle() }
            throw error
        }
    }

    /// Ends the transaction around a failed statement. Changes that OR FAIL kept remain, when the script is not atomic.
    private func end(_ error: any Error) throws(QueryStop) {
        if case QueryStop.sqlite(let error) = error, error.code.primary == .constraint, !query.request.atomic,
            session.isInTransaction
        {
            do { return try session.commit(run) } catch {
                session.rollBack()
                throw error
            }
        }
        session.rollBack()
    }

    /// Within a client's transaction: a statement with RETURNING has written everything before its first row, and only
    /// a savepoint can undo that when the query ends between two rows.
    private func runReturning(_ statement: inout Statement) throws {
        try session.beginSavepoint()
        do {
            try runWrite(&statement, isVacuum: false, isAlone: false)
            try session.releaseSavepoint()
        } catch {
            query.detach()
            switch error {
            case QueryStop.cancelled, QueryStop.failed, QueryStop.needsWriter:
                statement.reset()
                session.rollBackToSavepoint()
            default:
                // Keeps what SQLite kept; when that fails, the savepoint ends with the transaction.
                if session.isInTransaction { try? session.releaseSavepoint() }
            }
            throw error
        }
    }

    private func runWrite(_ statement: inout Statement, isVacuum: Bool, isAlone: Bool) throws {
        let connection = guarded.connection
        let before = connection.totalChanges
        try session.capture?.statementWillRun(isVacuum: isVacuum, isAlone: isAlone)
        guarded.authorizer.isVacuuming = isVacuum
        defer { guarded.authorizer.isVacuuming = false }
        if isVacuum { try session.vacuumWillRun() }
        do {
            try run.step(&statement, index: run.statementIndex, mustFinish: true)
            session.capture?.statementDidRun(failed: false)
        } catch {
            session.capture?.statementDidRun(failed: true)
            throw error
        }
        guard connection.totalChanges != before else { return }
        run.changes += connection.changes
        if guarded.authorizer.statement.inserts { run.lastInsertRowid = connection.lastInsertRowid }
    }

    /// BEGIN, COMMIT, SAVEPOINT and the like, as the client sends them.
    private func runControl(_ statement: inout Statement, _ kind: StatementAuthorizer.Statement.Transaction?) throws {
        let wasOpen = session.isInTransaction
        let mayCommit = wasOpen && (kind == .commit || kind == .release && session.isBegunBySavepoint)
        if mayCommit {
            try session.prepareToCommit(run)
            guarded.handlers.isInterruptible = false
        }
        defer { guarded.handlers.isInterruptible = true }
        try run.step(&statement, index: run.statementIndex, mustFinish: true)
        if !wasOpen { session.isBegunBySavepoint = kind == .savepoint }
        if kind == .rollbackTo { session.capture?.statementDidRun(failed: true) }
        guard wasOpen, !session.isInTransaction else { return }
        // The client ended it.
        run.transaction = .none
        if mayCommit {
            session.committed(run)
        } else {
            session.capture?.transactionDidRollBack()
        }
    }
}

extension QueryFailure {
    /// - Parameter state: the state that the statement would leave on the connection.
    fileprivate static func withoutLastingEffect(_ state: String) -> QueryFailure {
        QueryFailure(
            .notAuthorized,
            "\(state) lasts until the end of the request or transaction that it is part of, and nothing follows it here: send "
                + "it in one script with the statements that need it, or within a transaction on a WebSocket"
        )
    }
}
