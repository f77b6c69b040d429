import Foundation
import QueryEngine
import RandomSupport
import SQLiteConnection
import Testing

/// Random row writes under random rules, compared with a plain model: in a transaction the row is read, the write is
/// made as SQL by a client without rules, and the transaction is rolled back unless the old row satisfies the rule and the
/// new one the check.
///
/// `TABLECAST_RULE_WRITES` sets the number of writes, `TABLECAST_SEED` the seed.
@Suite(.serialized) struct RowRuleWriteOracleTests {
    private static let count = ProcessInfo.processInfo.environment["TABLECAST_RULE_WRITES"].flatMap(Int.init) ?? 400
    private static let writesOfOne = 50
    private static let keys = ["t1": ["id"], "t2": ["k", "n"], "t3": ["rowid"], "pub": ["id"]]
    private static let columns = [
        "t1": ["id", "owner", "a", "b", "tag"], "t2": ["k", "n", "owner", "a"], "t3": ["owner", "a", "s"],
        "pub": ["id", "a", "b"],
    ]

    private enum Outcome: String {
        case written, hidden, notPermitted, constraint
    }

    @Test func `exactly the writes are accepted that the rules permit`() async throws {
        var random = SeededGenerator.announced()
        var counts: [Outcome: Int] = [:]
        for _ in 0..<max(1, Self.count / Self.writesOfOne) { try await compare(seed: random.next(), &counts) }
        print("row writes under rules: \(counts)")
        for outcome in [Outcome.written, .hidden, .notPermitted, .constraint] {
            #expect(counts[outcome, default: 0] > 0, "\(outcome)")
        }
    }

    private func compare(seed: UInt64, _ counts: inout [Outcome: Int]) async throws {
        var random = SeededGenerator(seed: seed)
        var generator = RowRuleGenerator(SeededGenerator(seed: seed))
        let inserts = generator.inserts()
        var rules = generator.rules()
        // Some with a check of another rule.
        let others = generator.rules().rules
        rules = SQLRowRules(
            rules: rules.rules.map { rule in
                let check = random.chance(40) ? others.first { $0.table == rule.table }?.condition : nil
                return SQLRowRules.Rule(table: rule.table, condition: rule.condition, check: check)
            },
            claims: rules.claims
        )
        let harness = try Harness(RowRuleGenerator.schema + inserts) { $0.limits.readerCount = 1 }
        let model = try Connection(path: ":memory:", mode: .readWriteCreate)
        try model.execute(RowRuleGenerator.schema + inserts)
        try model.registerClaims(rules.claims, as: SQLRowRules.claimFunction)
        var policy = SQLPolicy(
            level: .readWrite,
            readableTables: RowRuleGenerator.readable,
            writableTables: RowRuleGenerator.readable
        )
        policy.rowRules = rules
        for _ in 0..<Self.writesOfOne {
            let write = try Self.write(&random, model)
            let expected = try Self.apply(write, rules, to: model)
            let (end, _) = await harness.write(write) { $0.policy = policy }
            let found: Outcome? =
                switch end {
                case .completed: .written
                case .failed(let failure):
                    switch failure.code {
                    case .conflict: .hidden
                    case .notAuthorized: .notPermitted
                    case .constraint: .constraint
                    default: nil
                    }
                default: nil
                }
            let comment: Comment = "seed \(seed): \(write)\nrules \(rules.rules)\nclaims \(rules.claims)\n\(end)"
            #expect(found == expected, comment)
            counts[expected, default: 0] += 1
            let state =
                "SELECT rowid, * FROM \(write.table == "t2" ? "(SELECT 1 AS rowid, * FROM t2)" : write.table) ORDER BY 1, 2, 3"
            #expect(try harness.database.query(state) == (try model.query(state)), comment)
        }
        _ = await harness.service.shutDown(within: .seconds(10))
    }

    // MARK: The model

    private static func apply(_ write: RowWrite, _ rules: SQLRowRules, to model: Connection) throws -> Outcome {
        let rule = rules.rules.first { $0.table == write.table }
        let named = write.key.map { "\($0.column) IS ?" }.joined(separator: " AND ")
        func holds(_ condition: String?, _ sql: String, _ values: [SQLiteValue]) throws -> Bool {
            let found = try model.query("SELECT count(*) FROM \(write.table) WHERE \(sql)", values)
            guard found.first?.first != .integer(0) else { return false }
            guard let condition else { return true }
            // An error of the rule permits nothing.
            let permitted = try? model.query(
                "SELECT count(*) FROM \(write.table) WHERE \(sql) AND (\n\(condition)\n)",
                values
            )
            return permitted.map { $0.first?.first != .integer(0) } ?? false
        }
        if write.operation != .insert, try !holds(rule?.condition, named, write.key.map(\.value)) { return .hidden }
        try model.execute("SAVEPOINT w")
        var values = write.values.map(\.value)
        let names = write.values.map(\.column)
        var sql: String
        switch write.operation {
        case .insert:
            sql =
                "INSERT INTO \(write.table)(\(names.joined(separator: ", "))) VALUES (\(names.map { _ in "?" }.joined(separator: ", ")))"
        case .update:
            sql = "UPDATE \(write.table) SET \(names.map { "\($0) = ?" }.joined(separator: ", ")) WHERE \(named)"
        case .delete: sql = "DELETE FROM \(write.table) WHERE \(named)"
        }
        if write.operation != .insert { values += write.key.map(\.value) }
        if write.operation != .delete {
            sql += " RETURNING \((keys[write.table] ?? []).joined(separator: ", "))"
        }
        do throws(SQLiteError) {
            let identity = try model.query(sql, values).first ?? []
            let key = (keys[write.table] ?? []).map { "\($0) IS ?" }.joined(separator: " AND ")
            let isPermitted = (try? holds(rule?.check, key, identity)) ?? false
            if write.operation != .delete, !isPermitted {
                try model.execute("ROLLBACK TO w; RELEASE w")
                return .notPermitted
            }
        } catch {
            try model.execute("ROLLBACK TO w; RELEASE w")
            #expect(error.code.primary == .constraint || error.code.primary == .mismatch, "\(error)")
            return .constraint
        }
        try model.execute("RELEASE w")
        return .written
    }

    // MARK: Writes

    private static func write(_ random: inout SeededGenerator, _ model: Connection) throws -> RowWrite {
        let table = random.pick(["t1", "t1", "t2", "t3", "pub"])
        let operation = random.pick([RowWrite.Operation.insert, .update, .update, .delete])
        var key: [RowWrite.Cell] = []
        let names = keys[table] ?? []
        if operation != .insert {
            let rows = try model.query("SELECT \(names.joined(separator: ", ")) FROM \(table)")
            let row = rows.isEmpty || random.chance(5) ? names.map { _ in SQLiteValue.integer(99) } : random.pick(rows)
            key = zip(names, row).map { RowWrite.Cell($0, $1) }
        }
        var values: [RowWrite.Cell] = []
        if operation != .delete {
            for column in columns[table] ?? [] where operation == .insert ? random.chance(85) : random.chance(35) {
                values.append(RowWrite.Cell(column, value(of: column, table, &random)))
            }
            if values.isEmpty { values = [RowWrite.Cell("a", value(of: "a", table, &random))] }
        }
        return RowWrite(operation, table: table, key: key, values: values)
    }

    private static func value(of column: String, _ table: String, _ random: inout SeededGenerator) -> SQLiteValue {
        switch column {
        case "owner": random.pick([.text("ada"), .text("ada"), .text("bob"), .text("team"), .null])
        case "id": .integer(Int64(random.below(40)))
        case "k": random.pick([.text("x"), .text("y")])
        case "n": .integer(Int64(random.below(9)))
        case "tag": random.pick([.text("ADA"), .text("ada"), .text("x"), .null])
        case "b", "s": random.pick([.null, .text("x"), .text("{\"a\":1}"), .text("{"), .integer(5), .text("5")])
        default: random.chance(15) ? .null : .integer(Int64(random.int(-3...9)))
        }
    }
}
