package import SQLiteConnection

/// A query of the oracle, with its known properties.
package struct OracleQuery: Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable {
        case filter, join, leftJoin, selfJoin, group, distinct, aggregate, ordered, subquery, compound, window, view
        case parameters
    }

    package var kind: Kind
    package var sql: String
    package var parameters: [SQLiteValue] = []
    /// It has to be evaluated by changed rows.
    package var mustBeIncremental: Bool
    /// SQL leaves open which of several equal values it returns, so values are compared as SQL compares them.
    package var isOpen = false
    package var isOrdered = false

    package init(kind: Kind, sql: String, mustBeIncremental: Bool, isOpen: Bool = false, isOrdered: Bool = false) {
        self.kind = kind
        self.sql = sql
        self.mustBeIncremental = mustBeIncremental
        self.isOpen = isOpen
        self.isOrdered = isOrdered
    }

    package var description: String {
        "\(kind): \(sql)\(parameters.isEmpty ? "" : " with \(parameters)")"
    }
}

/// The complete input of an oracle run, as text.
package struct LiveScript: Sendable, CustomStringConvertible {
    package var setUp: [String]
    package var queries: [OracleQuery]
    /// Each is one transaction; a statement that fails does nothing. `VACUUM` is a transaction of its own.
    package var transactions: [[String]]

    package init(setUp: [String], queries: [OracleQuery], transactions: [[String]]) {
        self.setUp = setUp
        self.queries = queries
        self.transactions = transactions
    }

    package var description: String {
        let lines =
            setUp.map { "  \($0);" } + queries.map { "  -- \($0)" }
            + transactions.flatMap { ["  BEGIN;"] + $0.map { "    \($0);" } + ["  COMMIT;"] }
        return lines.joined(separator: "\n")
    }
}
