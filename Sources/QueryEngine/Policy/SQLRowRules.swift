package import SQLiteConnection

/// The rows of tables that a query may read, and a ``RowWrite`` may write.
///
/// For reading, a view with the table's name takes the table's place, in the temporary schema, which SQLite searches first:
/// `"order"` → a view with an unguessable name → `main."order"`. The authorizer lets only the inner view read the table.
///
/// The inner view ends with `LIMIT -1 OFFSET 0`: so SQLite evaluates no expression of the query on a row that the rule
/// hides. Otherwise an error of such an expression, raised or not, would tell about hidden rows.
package struct SQLRowRules: Sendable, Hashable {
    package struct Rule: Sendable, Hashable {
        package let table: String
        /// An SQL expression over the table's columns; its claims are calls of ``SQLRowRules/claimFunction``.
        package let condition: String
        /// What a written row must satisfy, likewise.
        package let check: String

        /// - Parameter check: nil for the condition.
        package init(table: String, condition: String, check: String? = nil) {
            self.table = table
            self.condition = condition
            self.check = check ?? condition
        }
    }

    package let rules: [Rule]
    package let claims: [String: SQLiteValue]

    package init(rules: [Rule], claims: [String: SQLiteValue]) {
        self.rules = rules
        self.claims = claims
    }

    func rule(for table: String) -> Rule? {
        let name = StatementAuthorizer.folded(table)
        return rules.first { StatementAuthorizer.folded($0.table) == name }
    }

    package static let claimFunction = "tablecast_claim"

    /// The SQL of a claim's value: a view cannot have parameters.
    ///
    /// - Parameter name: of letters, digits and underscores.
    package static func claim(_ name: String) -> String { "\(claimFunction)('\(name)')" }
}

/// The views of one query. Belongs to the connection's thread.
struct RowRuleViews {
    private struct View {
        let table: String
        let inner: String
    }

    private var views: [View] = []

    /// Creates the views of all rules whose tables exist, and checks that each rule fits its table. The authorizer must
    /// allow everything during the call.
    ///
    /// - Returns: the name of the inner view of each table, in lower case. A table without one must not be read.
    mutating func create(_ rules: SQLRowRules, on connection: Connection) throws(SQLiteError) -> [String: String] {
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
            if isUsable { inner[StatementAuthorizer.folded(name)] = view.inner }
        }
        return inner
    }

    private mutating func create(_ view: View, _ rule: SQLRowRules.Rule, on connection: Connection) throws(SQLiteError)
        -> Bool
    {
        let (table, inner) = (Self.quoted(view.table), Self.quoted(view.inner))
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

    /// Whether an error's text names one of the inner views.
    func isNamed(in message: String) -> Bool { views.contains { message.contains($0.inner) } }

    /// Removes the views. The authorizer must allow everything during the call.
    mutating func drop(on connection: Connection) throws(SQLiteError) {
        defer { views = [] }
        guard !views.isEmpty else { return }
        try connection.execute("PRAGMA query_only = OFF")
        defer { restrict(connection) }
        try connection.registerClaims([:], as: SQLRowRules.claimFunction)
        for view in views {
            try connection.execute("DROP VIEW temp.\(Self.quoted(view.table))")
            try connection.execute("DROP VIEW temp.\(Self.quoted(view.inner))")
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

    private static func quoted(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }
}
