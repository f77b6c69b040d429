import SQLiteConnection

/// The authorizer of one connection: enforces the policy of the query that is being compiled, gives the reason for a
/// refusal, and records properties of the statement.
///
/// Belongs to the connection's thread.
final class StatementAuthorizer {
    /// The properties of the statements compiled since ``begin(_:access:)`` or ``forgetStatement()``.
    struct Statement {
        enum Transaction: Equatable {
            case begin
            case commit
            case rollback
            case savepoint
            case release
            case rollbackTo
        }

        var transaction: Transaction?
        var isPragma = false
        /// The statement creates a table, or SQLite declares the columns of a virtual table while it compiles.
        var declaresTable = false
        var inserts = false
        var changesSchema = false
        /// State that the statement leaves on the connection and that is lost at the end of the request or the
        /// transaction: `a temporary table`.
        var connectionState: String?
        /// The statement matches texts with patterns, possibly in a view or a trigger.
        var comparesPatterns = false
        /// The statement, or a trigger that it fires, inserts rows.
        var insertsAnywhere = false
        /// The statement may read a table that is not in the list: ``OpenedTables`` decides.
        var mayReadUnlisted = false
    }

    struct Denial {
        var code: QueryFailure.Code
        var reason: String
        /// The refusal concerns a table that the statement may not even name.
        var isOfTable = false
    }

    private(set) var statement = Statement()
    private(set) var denial: Denial?
    /// On a reader: the writer must run the statement.
    private(set) var needsWriter = false
    /// The connection's settings or its temporary objects have changed since it was opened.
    private(set) var isTainted = false
    /// VACUUM attaches a file without a name while it runs.
    var isVacuuming = false
    /// The statements come from a ``RowWriter``, which applies the row rules itself.
    var isRowWrite = false
    /// Whether the next compiled statement would run within a transaction.
    var isInTransaction = false

    private var policy: SQLPolicy?
    private var access = Ticket.Access.writer
    /// What may be read of tables with a rule; nil without rules.
    private var ruleAccess: RowRuleAccess?

    /// Applies the policy to the statements compiled from now on.
    ///
    /// - Parameter ruleAccess: when the policy has rules, and their views exist.
    func begin(_ policy: SQLPolicy, access: Ticket.Access, ruleAccess: RowRuleAccess? = nil) {
        self.policy = policy
        self.ruleAccess = ruleAccess ?? policy.rowRules.map { RowRuleAccess($0) }
        self.access = access
        isRowWrite = false
        needsWriter = false
        forgetStatement()
    }

    /// Allows everything from now on, for the service's own statements.
    func end() {
        policy = nil
        ruleAccess = nil
    }

    /// Allows the service's own SQL in `body`, then restores the policy.
    func unguarded<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        let policy = policy
        self.policy = nil
        defer { self.policy = policy }
        return try body()
    }

    func forgetStatement() {
        statement = Statement()
        denial = nil
    }

    /// The statement that runs next was compiled earlier, under the same policy.
    func recall(_ statement: Statement) {
        self.statement = statement
        denial = nil
    }

    // MARK: The authorizer

    func authorize(_ request: borrowing AuthorizerRequest) -> AuthorizerVerdict {
        guard let policy else { return .allow }
        switch request.action {
        case .select, .recursive:
            return .allow
        case .read:
            return read(request, policy)
        case .function:
            return function(request)
        case .insert, .update, .delete:
            return write(request, policy)
        case .transaction, .savepoint:
            return transaction(request, policy)
        case .pragma:
            return pragma(request, policy)
        case .attach:
            // The name is empty for VACUUM itself and the target's for VACUUM INTO.
            if isVacuuming { return request.first == "" ? .allow : deny("VACUUM INTO is not allowed") }
            return deny("ATTACH is not allowed")
        case .detach:
            return deny("DETACH is not allowed")
        case .createVirtualTable:
            let module = request.second ?? ""
            guard Self.modules.contains(module.lowercased()) else {
                return deny("virtual tables of the module \(module) are not allowed")
            }
            return request.database == "temp" ? createTemporary(request.action, policy) : changeSchema(policy)
        case .createTempIndex, .createTempTable, .createTempTrigger, .createTempView:
            return createTemporary(request.action, policy)
        case .createTable where request.first == "x":
            // On its first use a virtual table declares its columns as a table of this name, also for a SELECT.
            // ``check(_:)`` detects the other cases.
            statement.declaresTable = true
            return .allow
        default:
            // CREATE, DROP, ALTER, REINDEX, ANALYZE, and any action of a later SQLite.
            return changeSchema(policy)
        }
    }

    /// Checks that must precede compiling: with a list of tables, the success of `DROP TABLE IF EXISTS` and the like
    /// would reveal whether a table exists.
    func check(_ script: borrowing Script) throws(QueryFailure) {
        guard let policy, policy.restrictsTables else { return }
        guard ScriptOutline.changesSchema(script.sql, from: script.tail) else { return }
        throw policy.level > .readOnly
            ? QueryFailure(.notAuthorized, "changing the schema is not allowed with a list of tables")
            : QueryFailure(.readOnly, "the access is read-only: changing the schema is not allowed")
    }

    /// Checks that need the compiled statement.
    func check(_ compiled: borrowing SQLiteConnection.Statement) throws(QueryFailure) {
        if policy?.rowRules != nil, compiled.explainLevel > 0 {
            throw QueryFailure(.notAuthorized, "EXPLAIN is not allowed with row rules: it shows how they are applied")
        }
        guard let policy, compiled.writes else { return }
        if policy.level == .readOnly {
            throw QueryFailure(
                .readOnly,
                policy.rowRules == nil
                    ? "the access is read-only, and the statement writes"
                    : "a token with row rules writes rows with row:write or POST /row, not with SQL"
            )
        }
        if policy.restrictsTables, statement.declaresTable, ScriptOutline.verb(of: compiled.sql) == .create {
            throw QueryFailure(.notAuthorized, "changing the schema is not allowed with a list of tables")
        }
    }

    private func read(_ request: borrowing AuthorizerRequest, _ policy: SQLPolicy) -> AuthorizerVerdict {
        // SQLite reads this when it declares the columns of a virtual table on its first use.
        if request.first == "sqlite_master", request.second == "ROWID" { return .allow }
        if !isRowWrite, let verdict = ruleAccess?.read(request) { return self.verdict(verdict) }
        if let table = request.first?.lowercased(), table.hasPrefix("pragma_"),
            PragmaRule.named(String(table.dropFirst(7)))?.acts != nil
        {
            // The function would have an effect while a SELECT runs, which no client expects.
            return deny("the table-valued function \(table) is not allowed; run the PRAGMA itself")
        }
        guard let readable = policy.readableTables, let table = request.first, !readable.contains(table) else {
            return .allow
        }
        guard let column = request.second, OpenedTables.decides(table.lowercased(), column: column) else {
            return denyTable("reading the table \(table) is not allowed")
        }
        statement.mayReadUnlisted = true
        return .allow
    }

    private func verdict(_ verdict: RowRuleAccess.Verdict) -> AuthorizerVerdict {
        switch verdict {
        case .allow: .allow
        case .deny(let reason): deny(reason)
        case .hidden(let table): denyTable("reading the table \(table) is not allowed")
        }
    }

    private func write(_ request: borrowing AuthorizerRequest, _ policy: SQLPolicy) -> AuthorizerVerdict {
        let table = request.first ?? ""
        // This accompanies every schema change, which has an action of its own, and the first use of virtual tables.
        // SQLite prevents direct writes.
        if table == "sqlite_master" || table == "sqlite_temp_master" { return .allow }
        if request.action == .insert { statement.insertsAnywhere = true }
        // An R-tree compiles its writes when it is first read: ``check(_:)`` sees which statement really writes.
        if policy.level == .readOnly {
            // A table that may not be read is refused like one that does not exist.
            guard request.triggerOrView == nil, let readable = policy.readableTables, request.database != "temp",
                !readable.contains(table)
            else { return .allow }
            return denyTable("writing to the table \(table) is not allowed")
        }
        if let writable = policy.writableTables, !writable.contains(table), request.database != "temp" {
            return denyTable("writing to the table \(table) is not allowed")
        }
        if request.action == .insert, request.triggerOrView == nil { statement.inserts = true }
        // "The truncate optimization is disabled and all rows are deleted individually"
        // (https://sqlite.org/c3ref/c_deny.html): truncating a large table takes long, shows no progress and cannot be
        // interrupted. When a table is dropped the same request has another meaning.
        if request.action == .delete, !statement.changesSchema { return .ignore }
        return .allow
    }

    private func changeSchema(_ policy: SQLPolicy) -> AuthorizerVerdict {
        statement.changesSchema = true
        if policy.level == .readOnly { return denyWriting("changing the schema") }
        if policy.restrictsTables { return deny("changing the schema is not allowed with a list of tables") }
        return .allow
    }

    private func createTemporary(_ action: AuthorizerAction, _ policy: SQLPolicy) -> AuthorizerVerdict {
        let verdict = changeSchema(policy)
        guard verdict == .allow else { return verdict }
        isTainted = true
        let kind =
            switch action {
            case .createTempIndex: "index"
            case .createTempTrigger: "trigger"
            case .createTempView: "view"
            default: "table"
            }
        // The outermost object: a temporary table comes with the indexes of its constraints.
        statement.connectionState = statement.connectionState ?? "a temporary \(kind)"
        return .allow
    }

    private func function(_ request: borrowing AuthorizerRequest) -> AuthorizerVerdict {
        guard let name = request.second else { return .allow }
        let folded = name.lowercased()
        if folded == "like" || folded == "glob" { statement.comparesPatterns = true }
        if folded == SQLRowRules.claimFunction {
            // Not in a trigger of the file.
            if isRowWrite, request.triggerOrView == nil { return .allow }
            return verdict(ruleAccess?.call(request) ?? .deny("the function \(name) is not allowed"))
        }
        guard Self.refusedFunctions.contains(folded) else { return .allow }
        return deny("the function \(name) is not allowed")
    }

    private func transaction(
        _ request: borrowing AuthorizerRequest,
        _ policy: SQLPolicy
    ) -> AuthorizerVerdict {
        let isSavepoint = request.action == .savepoint
        statement.transaction =
            switch request.first {
            case "BEGIN": isSavepoint ? .savepoint : .begin
            case "COMMIT": .commit
            case "RELEASE": .release
            default: isSavepoint ? .rollbackTo : .rollback
            }
        if policy.level == .readOnly {
            return deny(
                .readOnly,
                "the access is read-only: a transaction would hold the writer; one request reads a single snapshot anyway"
            )
        }
        return access == .writer ? .allow : handOn()
    }

    private func pragma(_ request: borrowing AuthorizerRequest, _ policy: SQLPolicy) -> AuthorizerVerdict {
        statement.isPragma = true
        let name = request.first ?? ""
        guard let rule = PragmaRule.named(name) else { return deny("PRAGMA \(name) is not allowed") }
        let isOfModule = request.second == nil && Self.pragmasOfModules.contains(name)
        if policy.rowRules != nil, !isOfModule, rule.argument != .table || rule.revealsSchema {
            return deny("PRAGMA \(name) is not allowed with row rules")
        }
        if rule.revealsSchema, policy.restrictsTables {
            return deny("PRAGMA \(name) is not allowed with a list of tables")
        }
        guard let argument = request.second else {
            guard let level = rule.acts else { return .allow }
            return act("PRAGMA \(name)", level, policy)
        }
        switch rule.argument {
        case .refused:
            return deny("PRAGMA \(name) may be read and not set")
        case .harmless:
            return .allow
        case .table:
            guard let readable = policy.readableTables, !readable.contains(argument) else { return .allow }
            return deny("reading the table \(argument) is not allowed")
        case .session(let level):
            let verdict = act("setting PRAGMA \(name)", level, policy)
            guard verdict == .allow else { return verdict }
            isTainted = true
            statement.connectionState = "PRAGMA \(name)"
            guard isInTransaction, rule.isIgnoredInTransaction else { return .allow }
            return deny(
                "PRAGMA \(name) has no effect within a transaction, and a script of several statements is one: send it with "
                    + "atomic: false (--not-atomic)"
            )
        case .file(let level):
            guard rule.values.map({ $0.contains(argument.lowercased()) }) ?? true else {
                let values = (rule.values ?? []).sorted().joined(separator: " or ")
                return deny("PRAGMA \(name) = \(argument) is not stored in the file; use \(values)")
            }
            return act("PRAGMA \(name) with a value", level, policy)
        }
    }

    /// Some PRAGMAs take effect while they are compiled, so a reader must not even compile them.
    private func act(_ what: String, _ level: SQLPolicy.Level, _ policy: SQLPolicy) -> AuthorizerVerdict {
        if policy.level == .readOnly { return denyWriting(what) }
        if policy.level < level { return deny("\(what) is for administrators") }
        return access == .writer ? .allow : handOn()
    }

    private func handOn() -> AuthorizerVerdict {
        needsWriter = true
        return .deny
    }

    private func denyWriting(_ what: String) -> AuthorizerVerdict {
        deny(.readOnly, "the access is read-only: \(what) is not allowed")
    }

    private func denyTable(_ reason: String) -> AuthorizerVerdict {
        denial = denial ?? Denial(code: .notAuthorized, reason: reason, isOfTable: true)
        return .deny
    }

    private func deny(_ reason: String) -> AuthorizerVerdict { deny(.notAuthorized, reason) }

    private func deny(_ code: QueryFailure.Code, _ reason: String) -> AuthorizerVerdict {
        denial = denial ?? Denial(code: code, reason: reason)
        return .deny
    }

    /// Functions of the library and its usual extensions that reach outside of the database or of the statement.
    private static let refusedFunctions: Set<String> = [
        "edit", "fts3_tokenizer", "load_extension", "readfile", "sqlite_log", "writefile",
        // Begins a transaction.
        "rtreecheck",
    ]

    /// PRAGMAs that modules of full-text search read for themselves.
    private static let pragmasOfModules: Set<String> = ["data_version", "page_size"]

    /// Modules that store their rows in this database.
    private static let modules: Set<String> = [
        "fts3", "fts4", "fts4aux", "fts5", "fts5vocab", "geopoly", "rtree", "rtree_i32",
    ]
}
