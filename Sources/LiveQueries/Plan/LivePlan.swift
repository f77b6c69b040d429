import ChangeCapture
import SQLiteConnection

/// How a query is kept up to date.
struct LivePlan: Sendable {
    enum Kind: Sendable, Hashable {
        /// Each row of the result comes from rows of tables: the changes are found from the changed rows, and nothing
        /// is kept.
        case rows
        /// Rows are grouped: the groups of the changed rows are counted on or evaluated again, and the result's rows
        /// are kept. Without GROUP BY all rows are one group.
        case groups
        /// The query runs as a whole and is compared with the rows sent last.
        case rerun
    }

    /// A table that the query reads.
    struct Dependency: Sendable {
        /// The columns whose changes matter, as positions in the table's description; nil for all.
        var columns: Set<Int>?
    }

    var kind: Kind
    /// Why the query runs as a whole.
    var rerunReason: String?
    /// By the name of the table.
    var dependencies: [SQLName: Dependency]
    /// The views that it reads, in lower case.
    var views: Set<SQLName> = []
    /// The tables of a simple query; nil when it is unknown which rows of the result come from which rows of tables.
    var core: SelectCore?
    /// The names of the result's columns.
    var columns: [String]
    /// The positions of the columns that identify a row; nil when they are not known.
    var key: [Int]?
    /// The caller chose the key, and it is not proved to be one.
    var mustCheckKey = false
    var isOrdered: Bool
    /// The statement with numbered parameters, and with the group's key and totals after the result's columns for ``Kind/groups``.
    var sql: String
    /// The client's statement with numbered parameters.
    var whole: String
    /// The values of parameters 1, 2 ….
    var values: [SQLiteValue]

    var isIncremental: Bool { kind != .rerun }

    /// The number of columns of ``sql``.
    var width: Int {
        guard kind == .groups, let core else { return columns.count }
        return columns.count + core.groups.count + core.totalsCount
    }

    /// Whether a change of the schema of these tables and views, folded, can change the plan.
    func dependsOnSchema(of names: Set<SQLName>) -> Bool {
        !views.isDisjoint(with: names)
            || dependencies.keys.contains { names.contains($0.caseFolded) }
    }

    /// Why a query without GROUP BY runs as a whole although its aggregates are `count` and `sum`.
    static let unknownTotals = "a sum is not of integers alone, or too large"

    /// The plan for running the query as a whole.
    func asRerun(_ reason: String) -> LivePlan {
        var plan = self
        plan.kind = .rerun
        plan.rerunReason = reason
        // The whole query keeps its order; its groups are not distinguished.
        plan.sql = whole
        return plan
    }
}

/// How SQL compares the values of an expression.
enum KeyCollation: Sendable, Hashable {
    case binary
    case noCase
    case trailingSpaces

    init?(_ name: String) {
        switch SQLName(name).caseFolded.string {
        case "binary": self = .binary
        case "nocase": self = .noCase
        case "rtrim": self = .trailingSpaces
        default: return nil
        }
    }
}

/// A query over joined tables, split so that conditions on the tables' rows can be inserted.
struct SelectCore: Sendable {
    struct Item: Sendable {
        var table: TableDescription
        /// The quoted name that qualifies columns.
        var name: String
        /// The quoted names of the columns that identify a row of the table.
        var key: [String]
        /// The index of the item whose rows this item's rows can affect. The item itself unless it is the right side of
        /// a LEFT JOIN.
        var anchor: Int
        var anchorOf: Int?
        /// The FROM clause up to this item, with its LEFT JOIN replaced by an inner join.
        var prefix: String
    }

    var items: [Item]
    /// The text of the result columns.
    var result: String
    var from: String
    var condition: String?
    /// GROUP BY and HAVING.
    var tail: String
    var isDistinct: Bool
    /// The expressions that distinguish groups, and how they are compared.
    var groups: [(sql: String, collation: KeyCollation)]
    /// How a group's row follows from the changed rows; nil if groups are evaluated again.
    var running: RunningAggregates?
    /// The next free parameter number.
    var nextParameter: Int

    /// What a statement returns for the rows that a set of keys covers.
    enum Projection: Hashable, Sendable {
        case result
        case groups
        /// Whether there is any row.
        case existence
    }

    /// The keys that restrict one item.
    struct Restriction: Hashable, Sendable {
        var item: Int
        /// The name of the temporary table of the keys; nil for a single key, which is bound.
        var table: String?
        var isExcluded: Bool
    }

    /// The rows of the query to which the restrictions apply. The single key of a restriction that is not excluded is bound at
    /// ``nextParameter`` and after it.
    func covered(_ projection: Projection, _ restrictions: [Restriction]) -> String {
        let list =
            switch projection {
            case .result: result
            case .groups:
                (groups.map { "(\($0.sql)\n)" } + (running.map { [$0.totals] } ?? [])).joined(separator: ", ")
            case .existence: "1"
            }
        var parts = restrictions.map(self.condition)
        if let condition { parts.insert("(\(condition)\n)", at: 0) }
        return "SELECT \(list)\n FROM \(from)" + (parts.isEmpty ? "" : "\n WHERE \(parts.joined(separator: " AND "))")
            + (projection == .existence ? " LIMIT 1" : projection == .groups ? groupsTail : "")
    }

    /// Totals are per group. The numbers name the first result columns.
    private var groupsTail: String {
        guard running != nil, !groups.isEmpty else { return "" }
        return "\n GROUP BY " + groups.indices.map { "\($0 + 1)" }.joined(separator: ", ")
    }

    /// The keys of the anchors whose rows join the changed rows of an item on the right side of a LEFT JOIN.
    func affected(_ number: Int, _ restriction: Restriction) -> String {
        let anchor = items[items[number].anchor]
        let keys = anchor.key.map { "\(anchor.name).\($0)" }.joined(separator: ", ")
        return "SELECT DISTINCT \(keys)\n FROM \(items[number].prefix)\n WHERE \(condition(restriction))"
    }

    /// The result's row, and the totals, of the group whose key is bound at ``nextParameter`` and after it.
    var group: String {
        var parts = groups.enumerated().map { "(\($1.sql)\n) IS ?\(nextParameter + $0)" }
        if let condition { parts.insert("(\(condition)\n)", at: 0) }
        return
            "SELECT \(isDistinct ? "DISTINCT " : "")\(result)\(totals)\n FROM \(from)\n WHERE \(parts.joined(separator: " AND "))\n \(tail)"
            + (isDistinct ? " LIMIT 1" : "")
    }

    /// The number of columns of the totals.
    var totalsCount: Int { running?.totalsCount ?? 0 }

    private var totals: String { running.map { ",\n\($0.totals)" } ?? "" }

    /// The whole query with the groups' keys and totals after its columns.
    var withGroupKeys: String {
        let keys = groups.map { ", (\($0.sql)\n)" }.joined()
        return "SELECT \(isDistinct ? "DISTINCT " : "")\(result)\(keys)\(totals)\n FROM \(from)"
            + (condition.map { "\n WHERE (\($0)\n)" } ?? "") + "\n \(tail)"
    }

    private func condition(_ restriction: Restriction) -> String {
        let item = items[restriction.item]
        let names = item.key.map { "\(item.name).\($0)" }
        guard let table = restriction.table else {
            return names.enumerated().map { "\($1) = ?\(nextParameter + $0)" }.joined(separator: " AND ")
        }
        let keys = names.indices.map { "k\($0)" }.joined(separator: ", ")
        let left = names.count == 1 ? names[0] : "(\(names.joined(separator: ", ")))"
        return "\(left) \(restriction.isExcluded ? "NOT IN" : "IN") (SELECT \(keys) FROM temp.\(table))"
    }
}
