package import ChangeCapture
package import SQLiteConnection

/// The minimal way to run SQL with a ``HookCapture`` according to its documentation: each write outside of a
/// transaction in its own one, statement by statement.
package final class CapturedWriter {
    package let connection: Connection
    package let capture: HookCapture
    /// The errors of the statements of the last ``run(_:)``.
    package private(set) var errors: [SQLiteError] = []

    /// Every other write outside of a transaction is rolled back on failure, and announced accordingly.
    private let isolatesStatements: Bool
    private var ownWrites = 0
    private let control = Control()

    /// The authorizer's observations of the last compiled statement.
    private final class Control {
        enum Kind {
            case none
            case begin
            case commit
            case rollback
            case savepoint
            case release
            case rollbackTo
        }

        var kind = Kind.none
        weak var capture: HookCapture?

        func observe(_ request: borrowing AuthorizerRequest) {
            if capture?.observe(request) == true { return }
            switch (request.action, request.first) {
            case (.transaction, "BEGIN"): kind = .begin
            case (.transaction, "COMMIT"): kind = .commit
            case (.transaction, _): kind = .rollback
            case (.savepoint, "BEGIN"): kind = .savepoint
            case (.savepoint, "RELEASE"): kind = .release
            case (.savepoint, _): kind = .rollbackTo
            default: break
            }
        }
    }

    package init(
        path: String = ":memory:",
        level: CaptureLevel = .values,
        limits: CaptureLimits = CaptureLimits(),
        setUp: String = "",
        isolatesStatements: Bool = false
    ) throws(SQLiteError) {
        self.isolatesStatements = isolatesStatements
        connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute(setUp)
        connection.setAuthorizer { [control] request in
            control.observe(request)
            return .allow
        }
        capture = try HookCapture(connection, level: level, limits: limits)
        control.capture = capture
    }

    /// Runs every statement, including those after a failed one, and returns one change set for each commit; see
    /// ``errors``.
    package func run(_ sql: String) -> [ChangeSet] {
        errors = []
        var commits: [ChangeSet] = []
        var script = Script(sql)
        while true {
            control.kind = .none
            var isCompiled = false
            do {
                guard var statement = try script.next(on: connection) else { return commits }
                isCompiled = true
                if let changes = try run(&statement) { commits.append(changes) }
            } catch {
                errors.append(error)
                // The end of a statement that does not compile is unknown.
                if !isCompiled { return commits }
            }
        }
    }

    /// Runs one step of a random script.
    package func run(_ step: ScriptStep) -> [ChangeSet] {
        if let write = step.blobWrite { return run(write) }
        guard let steps = step.interruptAfter else { return run(step.sql) }
        interruptAfter = steps
        defer { interruptAfter = nil }
        return run(step.sql)
    }
    private var interruptAfter: Int?

    private func run(_ write: ScriptStep.BlobWrite) -> [ChangeSet] {
        errors = []
        let isOwn = connection.isInAutocommit
        do {
            if isOwn { try connection.execute("BEGIN IMMEDIATE") }
            try capture.statementWillRun()
            var failure: SQLiteError?
            do {
                try connection.overwrite(
                    table: write.table,
                    column: write.column,
                    rowid: write.rowid,
                    with: write.bytes
                )
            } catch { failure = error }
            capture.statementDidRun(failed: failure != nil)
            if let failure { errors.append(failure) }
            return isOwn ? [try commit()] : []
        } catch {
            errors.append(error)
            return []
        }
    }

    /// Steps to the end, and interrupts where the step requires it.
    private func finish(_ statement: inout Statement) throws(SQLiteError) {
        if let interruptAfter { connection.setProgressHandler(everySteps: interruptAfter) { .interrupt } }
        defer { if interruptAfter != nil { connection.setProgressHandler(everySteps: 0, nil) } }
        while try statement.step() {}
    }

    private func run(_ statement: inout Statement) throws(SQLiteError) -> ChangeSet? {
        switch control.kind {
        case .none: return statement.isReadOnly ? try read(&statement) : try write(&statement)
        default: return try runControl(&statement)
        }
    }

    private func read(_ statement: inout Statement) throws(SQLiteError) -> ChangeSet? {
        while try statement.step() {}
        return nil
    }

    private func write(_ statement: inout Statement) throws(SQLiteError) -> ChangeSet? {
        let verb = statement.sql.drop { $0.isWhitespace }.prefix(6).uppercased()
        let isOwn = connection.isInAutocommit && verb != "VACUUM" && verb != "PRAGMA"
        if isOwn { try connection.execute("BEGIN IMMEDIATE") }
        if isOwn { ownWrites += 1 }
        let isAlone = isOwn && isolatesStatements && ownWrites % 2 == 0
        var failure: SQLiteError?
        do {
            try capture.statementWillRun(isVacuum: verb == "VACUUM", isAlone: isAlone)
            try finish(&statement)
        } catch { failure = error }
        capture.statementDidRun(failed: failure != nil)
        if isAlone, failure != nil, !connection.isInAutocommit { try connection.execute("ROLLBACK") }
        var changes: ChangeSet?
        if connection.isInAutocommit {
            if isOwn || failure != nil {
                capture.transactionDidRollBack()
            } else {
                changes = capture.transactionDidCommit()
            }
        } else if isOwn {
            changes = try commit()
        }
        if let failure {
            errors.append(failure)
        }
        return changes
    }

    private func commit() throws(SQLiteError) -> ChangeSet {
        do {
            try capture.transactionWillCommit()
            try connection.execute("COMMIT")
        } catch {
            if !connection.isInAutocommit { try connection.execute("ROLLBACK") }
            capture.transactionDidRollBack()
            throw error
        }
        return capture.transactionDidCommit()
    }

    private func runControl(_ statement: inout Statement) throws(SQLiteError) -> ChangeSet? {
        let wasOpen = !connection.isInAutocommit
        let mayCommit = control.kind == .commit || control.kind == .release
        if wasOpen, mayCommit { try capture.transactionWillCommit() }
        while try statement.step() {}
        if control.kind == .rollbackTo { capture.statementDidRun(failed: true) }
        guard wasOpen, connection.isInAutocommit else { return nil }
        if mayCommit { return capture.transactionDidCommit() }
        capture.transactionDidRollBack()
        return nil
    }
}
