import ChangeCapture
import LiveQueries
import QueryEngine
import SQLiteConnection
public import WireProtocol

/// Which rows of its tables an identity may see and write.
///
/// A rule is an SQL expression over the columns of its table; `:name` is a claim of the token. It applies wherever rows
/// reach a client: to the old and to the new row of every change, to snapshots, to queries, and to the rows that it
/// writes. What is not guarded by rules is refused to an identity that has some: see <doc:AccessControl>.
///
/// ```swift
/// let rules = try RowRules(["orders": .init(where: "owner = :sub")], claims: ["sub": .text("ada")])
/// let identity = Identity(id: "ada", role: .readOnly, rules: rules)
/// ```
public struct RowRules: Sendable, Hashable {
    /// The maximum number of tables with a rule.
    public static let maxRules = Identity.maxTables

    /// The rule of one table.
    public struct Rule: Sendable, Hashable {
        /// The rows that may be seen.
        public var condition: String
        /// What a row must satisfy that the identity inserts or updates; nil for ``condition``.
        public var check: String?

        public init(where condition: String, check: String? = nil) {
            self.condition = condition
            self.check = check
        }
    }

    private struct Checked: Sendable {
        /// As in the rules.
        let table: SQLName
        let expression: RuleExpression
        /// Nil for the expression.
        let check: RuleExpression?

        var parameters: Set<String> { expression.parameters.union(check?.parameters ?? []) }
    }

    /// Sorted by table.
    private let rules: [Checked]
    /// The claims that the rules use.
    private let claims: [String: WireValue]

    /// No rules: every row of every table.
    public static let none = RowRules()

    private init() { (rules, claims) = ([], [:]) }

    /// Checks the rules as far as that is possible without the tables.
    ///
    /// - Parameters:
    ///   - rules: by table.
    ///   - claims: the values of `:name`.
    /// - Throws: ``AuthenticationError``, which names the table; with ``AuthenticationError/isForbidden`` for a claim that
    ///   a rule uses and that is missing.
    public init(_ rules: [String: Rule], claims: [String: WireValue]) throws(AuthenticationError) {
        guard rules.count <= Self.maxRules else {
            throw AuthenticationError("rules: expected at most \(Self.maxRules), found \(rules.count)")
        }
        var checked: [Checked] = []
        var used: [String: WireValue] = [:]
        for (table, rule) in rules {
            guard (1...Identity.maxTableNameBytes).contains(table.utf8.count) else {
                throw AuthenticationError("rules: expected names of 1 to \(Identity.maxTableNameBytes) bytes")
            }
            let rule = Checked(
                table: SQLName(table).caseFolded,
                expression: try Self.expression(rule.condition, at: table),
                check: try rule.check.map { check throws(AuthenticationError) in
                    try Self.expression(check, at: "\(table).check")
                }
            )
            for name in rule.parameters.sorted() {
                guard let value = claims[name], value != .null else {
                    throw .forbidden(
                        "the rule of the table \(quoted(table)) needs the claim \(name), which the token lacks"
                    )
                }
                used[name] = value
            }
            checked.append(rule)
        }
        self.rules = checked.sorted { $0.table < $1.table }
        self.claims = used
        let names = self.rules.map(\.table)
        if let index = names.indices.dropFirst().first(where: { names[$0] == names[$0 - 1] }) {
            throw AuthenticationError("rules: two for the table \(quoted(names[index].string))")
        }
    }

    private static func expression(_ sql: String, at place: String) throws(AuthenticationError) -> RuleExpression {
        do throws(LiveRefusal) {
            return try RuleExpression(sql, maxBytes: RowCondition.maxSQLBytes)
        } catch {
            let offset = error.offset.map { " (at byte \($0))" } ?? ""
            throw AuthenticationError("rules.\(place): \(error.reason)\(offset)")
        }
    }

    /// By bytes, as SQLite compares texts.
    public static func == (left: RowRules, right: RowRules) -> Bool {
        left.tableRules == right.tableRules && left.checks == right.checks
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(tableRules) }

    public var isEmpty: Bool { rules.isEmpty }

    /// The names of the tables, in lower case.
    public var tables: [String] { rules.map(\.table.string) }

    /// The rules and the claims that they use, as this type reads them.
    var json: (rules: JSONValue, claims: JSONValue) {
        var fields: [String: JSONValue] = [:]
        for rule in rules {
            var object: [String: JSONValue] = ["where": .string(rule.expression.sql)]
            if let check = rule.check { object["check"] = .string(check.sql) }
            fields[rule.table.string] = .object(object)
        }
        return (.object(fields), .object(claims.mapValues(\.json)))
    }

    func hasRule(for table: String) -> Bool {
        let name = SQLName(table).caseFolded
        return rules.contains { $0.table == name }
    }

    /// For the filters of subscriptions.
    var tableRules: [TableRule] { rules.map { tableRule($0.expression, of: $0.table) } }

    private var checks: [TableRule] { rules.map { tableRule($0.check ?? $0.expression, of: $0.table) } }

    private func tableRule(_ expression: RuleExpression, of table: SQLName) -> TableRule {
        let parameters = claims.filter { expression.parameters.contains($0.key) }
        return TableRule(
            table: table.string,
            condition: WireProtocol.RowCondition(
                sql: expression.sql,
                parameters: parameters.isEmpty ? .none : .named(parameters)
            )
        )
    }

    /// For queries.
    var sqlRules: SQLRowRules {
        SQLRowRules(
            rules: rules.map { rule in
                SQLRowRules.Rule(
                    table: rule.table.string,
                    condition: rule.expression.sql { SQLRowRules.claim($0) },
                    check: rule.check?.sql { SQLRowRules.claim($0) }
                )
            },
            claims: claims.mapValues { SQLiteValue($0) }
        )
    }
}

extension RowRules {
    /// Reads `{"orders": "owner = :sub"}` or `{"orders": {"where": "owner = :sub", "check": "owner = :sub"}}`.
    init(parsing value: JSONValue, claims: [String: JSONValue]) throws(AuthenticationError) {
        guard case .object(let fields) = value else {
            throw AuthenticationError("rules: expected an object such as {\"orders\": \"owner = :sub\"}")
        }
        var rules: [String: Rule] = [:]
        for (table, value) in fields { rules[table] = try Self.rule(value, of: table) }
        try self.init(rules, claims: claims.compactMapValues(Self.value))
    }

    private static func rule(_ value: JSONValue, of table: String) throws(AuthenticationError) -> Rule {
        switch value {
        case .string(let sql): return Rule(where: sql)
        case .object(let fields):
            if let unknown = fields.keys.sorted().first(where: { $0 != "where" && $0 != "check" }) {
                throw AuthenticationError("rules.\(table): unknown field \(quoted(unknown)); expected where and check")
            }
            switch (fields["where"], fields["check"]) {
            case (.string(let sql)?, nil): return Rule(where: sql)
            case (.string(let sql)?, .string(let check)?): return Rule(where: sql, check: check)
            default: break
            }
        default: break
        }
        throw AuthenticationError(
            "rules.\(table): expected an SQL expression, or an object with where and, if wanted, check"
        )
    }

    /// A claim that a rule can compare; nil for an array or an object, which counts as missing.
    private static func value(_ claim: JSONValue) -> WireValue? {
        switch claim {
        case .string(let text): .text(text)
        case .bool(let value): .integer(value ? 1 : 0)
        case .integer(let value): .integer(value)
        case .number(let value): .real(value)
        default: nil
        }
    }
}
