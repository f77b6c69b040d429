/// The rows of tables that a query may read, and a write of one row may write.
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

    package func rule(for table: String) -> Rule? {
        let name = Self.folded(table)
        return rules.first { Self.folded($0.table) == name }
    }

    /// With ASCII letters in lower case, as SQLite compares names.
    package static func folded(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    package static let claimFunction = "tablecast_claim"

    /// The SQL of a claim's value: a view cannot have parameters.
    ///
    /// - Parameter name: of letters, digits and underscores.
    package static func claim(_ name: String) -> String { "\(claimFunction)('\(name)')" }
}
