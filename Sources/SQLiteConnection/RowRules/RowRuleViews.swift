/// The views of one query. Belongs to the connection's thread.
package struct RowRuleViews {
    private struct View {
        let table: String
        let inner: String
    }

    private var views: [View] = []

    package init() {}

    /// Creates the views of all rules whose tables exist, and checks that each rule fits its table. The authorizer must
    /// allow everything during the call.
    ///
    /// - Returns: decides what may be read while the views exist.
    package mutating func create(_ rules: SQLRowRules, on connection: Connection) throws(SQLiteError) -> RowRuleAccess {
        try connection.registerClaims(rules.claims, as: SQLRowRules.claimFunction)
        // A reader may not even create temporary views.
        try connection.execute("PRAGMA query_only = OFF")
        defer { restrict(connection) }
        var inner: [String: String] = [:]
        for rule in rules.rules {
            let found = try connection.query(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name = ? COLLATE NOCASE",
                [.text(rule.table)]
            )
            guard case .text(let name)? = found.first?.first else { continue }
            let view = View(table: name, inner: Self.makeName())
            let isUsable = try create(view, rule, on: connection)
            if isUsable { inner[SQLRowRules.folded(name)] = view.inner }
        }
        return RowRuleAccess(rules, innerViews: inner)
    }

    private mutating func create(_ view: View, _ rule: SQLRowRules.Rule, on connection: Connection) throws(SQLiteError)
        -> Bool
    {
        let (table, inner) = (view.table.quotedAsIdentifier, view.inner.quotedAsIdentifier)
        try connection.execute(
            // On separate lines, so that a comment at the end of the rule does not swallow the parenthesis.
            "CREATE TEMP VIEW \(inner) AS SELECT * FROM main.\(table) WHERE (\n\(rule.condition)\n) LIMIT -1 OFFSET 0"
        )
        do throws(SQLiteError) {
            // A view is compiled only when it is used.
            _ = try connection.prepare("SELECT * FROM temp.\(inner)")
        } catch {
            // The rule does not fit the table: nothing of the table may be read.
            try connection.execute("DROP VIEW temp.\(inner)")
            guard error.code.primary == .error else { throw error }
            return false
        }
        try connection.execute("CREATE TEMP VIEW \(table) AS SELECT * FROM temp.\(inner)")
        views.append(view)
        return true
    }

    /// The tables that a statement opens without the views: for this check, views without tables take their places. The
    /// authorizer must allow everything during the call.
    ///
    /// - Parameter sql: one statement.
    package func openedTables(of sql: String, on connection: Connection) throws(SQLiteError) -> OpenedTables {
        guard !views.isEmpty else {
            return try OpenedTables(of: sql, on: connection, OpenedTables.tableOfRoot(on: connection))
        }
        try connection.execute("PRAGMA query_only = OFF")
        defer { restrict(connection) }
        try connection.execute("SAVEPOINT tablecast_views")
        // The temporary schema is as before also when a statement fails.
        defer { try? connection.execute("ROLLBACK TO tablecast_views; RELEASE tablecast_views") }
        for view in views {
            let table = view.table.quotedAsIdentifier
            let columns = try connection.query("SELECT name FROM pragma_table_xinfo(?, 'main')", [.text(view.table)])
            let names = columns.map { row in
                if case .text(let name)? = row.first { name.quotedAsIdentifier } else { "NULL" }
            }
            let values = names.map { _ in "NULL" }.joined(separator: ", ")
            try connection.execute("DROP VIEW temp.\(table)")
            try connection.execute("CREATE TEMP VIEW \(table)(\(names.joined(separator: ", "))) AS SELECT \(values)")
        }
        return try OpenedTables(of: sql, on: connection, OpenedTables.tableOfRoot(on: connection))
    }

    /// Whether an error's text names one of the inner views.
    package func isNamed(in message: String) -> Bool { views.contains { message.contains($0.inner) } }

    /// Removes the views. The authorizer must allow everything during the call.
    package mutating func drop(on connection: Connection) throws(SQLiteError) {
        defer { views = [] }
        guard !views.isEmpty else { return }
        try connection.execute("PRAGMA query_only = OFF")
        defer { restrict(connection) }
        try connection.registerClaims([:], as: SQLRowRules.claimFunction)
        for view in views {
            try connection.execute("DROP VIEW temp.\(view.table.quotedAsIdentifier)")
            try connection.execute("DROP VIEW temp.\(view.inner.quotedAsIdentifier)")
        }
    }

    private func restrict(_ connection: Connection) {
        // It fails only without memory; the authorizer refuses what writes, too.
        try? connection.execute("PRAGMA query_only = ON")
    }

    /// 128 random bits: no query can name the view.
    private static func makeName() -> String {
        "rule_" + String(UInt64.random(in: .min ... .max), radix: 36)
            + String(UInt64.random(in: .min ... .max), radix: 36)
    }
}
