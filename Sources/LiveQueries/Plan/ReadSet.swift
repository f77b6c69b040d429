import ChangeCapture
import SQLiteConnection

/// The reads of a statement, as SQLite reports them to the authorizer during compilation.
final class ReadSet {
    /// Columns by table, in lower case; the empty name represents the table itself.
    private(set) var tables: [SQLName: Set<SQLName>] = [:]
    /// In lower case.
    private(set) var functions: Set<String> = []
    /// Views that it reads, in lower case.
    private(set) var views: Set<SQLName> = []
    private(set) var selects = false
    private(set) var refusal: LiveRefusal?
    /// The names of the statement's own tables (WITH), in lower case.
    private(set) var ownNames: Set<SQLName>
    /// The existing tables and views, in lower case; nil when they are not known.
    private let knownTables: Set<SQLName>?
    /// What may be read of tables with a row rule; nil without rules.
    private let ruleAccess: RowRuleAccess?

    init(knownTables: Set<SQLName>? = nil, ownNames: Set<SQLName> = [], ruleAccess: RowRuleAccess? = nil) {
        self.knownTables = knownTables
        self.ownNames = ownNames
        self.ruleAccess = ruleAccess
    }

    func note(_ request: borrowing AuthorizerRequest, rights: LiveRights) -> AuthorizerVerdict {
        switch request.action {
        case .select, .recursive:
            selects = true
        case .read:
            if let verdict = ruleAccess?.read(request) {
                guard verdict == .allow else { return refuse(verdict) }
                let name = request.first ?? ""
                if ruleAccess?.isInnerView(name) == true { return .allow }
                tables[SQLName(name).caseFolded, default: []].insert(SQLName(request.second ?? "").caseFolded)
                break
            }
            if request.database == "temp" {
                return refuse(LiveRefusal(.notLive, "temporary tables are not followed; a live query cannot read them"))
            }
            if let view = request.triggerOrView { views.insert(SQLName(view).caseFolded) }
            let name = SQLName(request.first ?? "").caseFolded
            let column = SQLName(request.second ?? "").caseFolded
            if isOwn(name, column) { return .allow }
            tables[name, default: []].insert(column)
        case .function:
            if let verdict = ruleAccess?.call(request) { return verdict == .allow ? .allow : refuse(verdict) }
            functions.insert(SQLName(request.second ?? "").caseFolded.string)
        default:
            // A virtual table declares its columns on its first use.
            if request.action == .createTable, request.first == "x" { return .allow }
            if request.action == .update || request.action == .insert || request.action == .delete,
                request.first == "sqlite_master"
            {
                return .allow
            }
            return refuse(LiveRefusal(.notLive, "a live query is a SELECT"))
        }
        if case .deny(let reason) = rights.authorize(request) { return refuse(LiveRefusal(.notAuthorized, reason)) }
        return .allow
    }

    /// For a common table expression of which no column is read, SQLite calls the authorizer as for a table.
    private func isOwn(_ name: SQLName, _ column: SQLName) -> Bool {
        guard column.string.isEmpty else { return false }
        if ownNames.contains(name) { return true }
        guard let knownTables, !knownTables.contains(name), !name.isReserved, !name.string.hasPrefix("pragma_") else {
            return false
        }
        ownNames.insert(name)
        return true
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
