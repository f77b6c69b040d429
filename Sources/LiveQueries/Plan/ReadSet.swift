import ChangeCapture
import SQLiteConnection

/// The reads of a statement: those that SQLite reports to the authorizer during compilation, and those of its program.
final class ReadSet {
    /// Columns by table, in lower case; the empty name represents the table itself.
    private(set) var tables: [SQLName: Set<SQLName>] = [:]
    /// In lower case.
    private(set) var functions: Set<String> = []
    /// Views that it reads, in lower case.
    private(set) var views: Set<SQLName> = []
    private(set) var selects = false
    /// A table that no statement has created, and that the authorizer was not called for by name.
    private(set) var unfollowed: String?
    /// A name may be that of a table that must not be read, or of a common table expression.
    private(set) var hasAmbiguousName = false
    private(set) var refusal: LiveRefusal?
    private let rights: LiveRights
    /// What may be read of tables with a row rule; nil without rules.
    private let ruleAccess: RowRuleAccess?

    init(_ rights: LiveRights, ruleAccess: RowRuleAccess? = nil) {
        self.rights = rights
        self.ruleAccess = ruleAccess
    }

    func note(_ request: borrowing AuthorizerRequest) -> AuthorizerVerdict {
        switch request.action {
        case .select, .recursive:
            selects = true
        case .read:
            return read(request)
        case .function:
            if let verdict = ruleAccess?.call(request) { return verdict == .allow ? .allow : refuse(verdict) }
            functions.insert(SQLName(request.second ?? "").caseFolded.string)
        default:
            return refuse(LiveRefusal(.notLive, "a live query is a SELECT"))
        }
        return .allow
    }

    private func read(_ request: borrowing AuthorizerRequest) -> AuthorizerVerdict {
        let table = request.first ?? ""
        let name = SQLName(table).caseFolded
        let column = SQLName(request.second ?? "").caseFolded
        if let verdict = ruleAccess?.read(request) {
            guard verdict == .allow else { return refuse(verdict) }
            if ruleAccess?.isInnerView(table) == true { return .allow }
        } else {
            if request.database == "temp" {
                return refuse(LiveRefusal(.notLive, "temporary tables are not followed; a live query cannot read them"))
            }
            if let view = request.triggerOrView { views.insert(SQLName(view).caseFolded) }
            // The program shows which table this is, if it is one.
            if OpenedTables.decides(name.string, column: column.string) {
                if !rights.mayRead(table) { hasAmbiguousName = true }
                return .allow
            }
        }
        return note(table, column)
    }

    private func note(_ table: String, _ column: SQLName) -> AuthorizerVerdict {
        guard rights.mayRead(table) else {
            return refuse(
                LiveRefusal(.notAuthorized, rights.concealment ?? "reading the table \(table) is not allowed")
            )
        }
        tables[SQLName(table).caseFolded, default: []].insert(column)
        return .allow
    }

    /// Adds what the program of the statement opens, and checks the rights where the authorizer could not. The connection must have
    /// no authorizer during the call.
    func noteProgram(
        of sql: String,
        on connection: Connection,
        _ tableOfRoot: [Int64: String]
    ) throws(SQLiteError) {
        let opened = try OpenedTables(of: sql, on: connection, tableOfRoot)
        for table in opened.tables.sorted() where refusal == nil { _ = note(table, SQLName("")) }
        if opened.hasUncreated { unfollowed = "a table that no statement has created" }
        guard let concealment = rights.concealment, refusal == nil else { return }
        var isPermitted = !opened.hasOther
        if isPermitted { isPermitted = try hasPermittedSources(opened, on: connection) }
        if isPermitted, hasAmbiguousName {
            // A program does not name views.
            let subset = try SchemaSubset(of: connection, where: rights.mayRead)
            var script = Script(sql)
            isPermitted = (try? script.next(on: subset.connection)) != nil
        }
        if !isPermitted { _ = refuse(LiveRefusal(.notAuthorized, concealment)) }
    }

    /// Whether the virtual tables among them read nothing that may not be read.
    private func hasPermittedSources(_ opened: OpenedTables, on connection: Connection) throws(SQLiteError) -> Bool {
        guard !opened.virtualTables.isEmpty else { return true }
        let forbidden = try VirtualTables(of: connection).forbidden { table in
            rights.mayRead(table) && ruleAccess?.isRuled(table) != true
        }
        return opened.virtualTables.isDisjoint(with: forbidden)
    }

    private func refuse(_ verdict: RowRuleAccess.Verdict) -> AuthorizerVerdict {
        switch verdict {
        case .allow: .allow
        case .deny(let reason): refuse(LiveRefusal(.notAuthorized, reason))
        case .hidden(let table): refuse(LiveRefusal(.notAuthorized, "reading the table \(table) is not allowed"))
        }
    }

    private func refuse(_ refusal: LiveRefusal) -> AuthorizerVerdict {
        self.refusal = self.refusal ?? refusal
        return .deny
    }
}

extension Connection {
    /// Makes the virtual tables of a statement declare their columns, for which SQLite calls the authorizer as for the statement
    /// itself.
    ///
    /// The connection must have no authorizer during the call.
    func connectVirtualTables(of sql: String) {
        var script = Script(sql)
        // An error is reported when the statement is compiled under the authorizer.
        _ = try? script.next(on: self)
    }

    /// Runs `body` while views take the places of the tables with a row rule; nil stands for no rules.
    ///
    /// The connection must have no authorizer during the call, except within `body`.
    func withRowRules<R>(
        _ rules: SQLRowRules?,
        _ body: (RowRuleAccess?, RowRuleViews) throws(SQLiteError) -> R
    ) throws(SQLiteError) -> R {
        guard let rules else { return try body(nil, RowRuleViews()) }
        var views = RowRuleViews()
        // A view that could not be removed, without memory, is refused to every other query, and has no claims.
        defer { try? views.drop(on: self) }
        let access = try views.create(rules, on: self)
        return try body(access, views)
    }
}
