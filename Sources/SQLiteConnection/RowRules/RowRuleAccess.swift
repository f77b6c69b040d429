/// Decides for an authorizer what a statement may read of tables with a row rule, and of the views that take their places.
package struct RowRuleAccess: Sendable {
    package enum Verdict: Sendable, Equatable {
        case allow
        /// With the reason.
        case deny(String)
        /// The client must not know the table.
        case hidden(String)
    }

    /// The inner view of each table with a rule, where there is one, both in lower case.
    private let innerViews: [String: String]
    /// The tables with a rule, in lower case.
    private let tables: Set<String>

    /// - Parameter innerViews: of ``RowRuleViews``. A table without one cannot be read.
    package init(_ rules: SQLRowRules, innerViews: [String: String] = [:]) {
        self.innerViews = innerViews
        tables = Set(rules.rules.map { SQLRowRules.folded($0.table) })
    }

    /// Whether a table has a rule.
    package func isRuled(_ table: String) -> Bool { tables.contains(SQLRowRules.folded(table)) }

    /// Whether the name is that of an inner view, which only the outer views know.
    package func isInnerView(_ name: String) -> Bool { innerViews.values.contains(SQLRowRules.folded(name)) }

    /// Nil where rules do not decide.
    package func read(_ request: borrowing AuthorizerRequest) -> Verdict? {
        let table = SQLRowRules.folded(request.first ?? "")
        if innerViews.values.contains(table) { return .allow }
        guard tables.contains(table) else {
            let isHidden = request.database == "temp" || table.hasPrefix("sqlite_")
            return isHidden ? .hidden(table) : nil
        }
        guard let inner = innerViews[table] else {
            return .deny("the table \(table) cannot be read: its row rule does not fit it, or it is no ordinary table")
        }
        // SQLite names the innermost view, but also a common table expression or a table of the query: only a name that cannot
        // be guessed proves the view.
        if request.database == "main", let view = request.triggerOrView, SQLRowRules.folded(view) == inner {
            return .allow
        }
        guard request.database == "temp" else {
            // Without a database and a column also when a view of the file counts rows.
            return .deny("the table \(table) has a row rule: it is read by its name alone, and not through views")
        }
        // A view has none: it would read as NULL.
        guard request.second != "ROWID" else {
            return .deny("a table with a row rule has no rowid: use its primary key")
        }
        return .allow
    }

    /// Whether a function may be called: ``SQLRowRules/claimFunction`` only within a rule. Nil for other functions.
    package func call(_ request: borrowing AuthorizerRequest) -> Verdict? {
        guard let name = request.second, SQLRowRules.folded(name) == SQLRowRules.claimFunction else { return nil }
        return request.triggerOrView.map(isInnerView) == true ? .allow : .deny("the function \(name) is not allowed")
    }
}
