import Foundation
import QueryEngine
import RandomSupport
import SQLiteConnection
import Testing

/// Random SQL under random rules gives what the same SQL gives in a database that holds only the permitted rows, or an
/// error. And whatever it gives, it gives also under the same rules in a database without the hidden rows: so not even an
/// error tells about them.
///
/// `TABLECAST_RULE_STATEMENTS` sets the number of statements, `TABLECAST_SEED` the seed.
@Suite(.serialized) struct RowRuleOracleTests {
    private static let count = ProcessInfo.processInfo.environment["TABLECAST_RULE_STATEMENTS"].flatMap(Int.init) ?? 600
    private static let statementsOfOne = 60

    private struct Classes {
        var equal = 0
        var equalWithRows = 0
        var bothFailed = 0
        var refused = 0
        var failedOtherwise = 0
    }

    @Test func `a query under rules sees a database of the permitted rows`() async throws {
        var random = SeededGenerator.announced()
        var classes = Classes()
        for _ in 0..<max(1, Self.count / Self.statementsOfOne) {
            let seed = random.next()
            try await compare(seed: seed, &classes)
        }
        print("row rules: \(classes)")
        // The classes that must not be empty.
        #expect(classes.equalWithRows > 0 && classes.refused > 0)
        #expect(classes.equal > classes.refused)
    }

    private func compare(seed: UInt64, _ classes: inout Classes) async throws {
        var generator = RowRuleGenerator(SeededGenerator(seed: seed))
        let inserts = generator.inserts()
        let rules = generator.rules()
        let all = try Harness(RowRuleGenerator.schema + inserts) { $0.limits.readerCount = 1 }
        let permitted = try Harness(RowRuleGenerator.schema + inserts + Self.deletion(rules)) {
            $0.limits.readerCount = 1
        }
        var ruled = SQLPolicy(level: .readOnly, readableTables: RowRuleGenerator.readable)
        ruled.rowRules = rules
        let plain = SQLPolicy(level: .readOnly, readableTables: RowRuleGenerator.readable)
        for _ in 0..<Self.statementsOfOne {
            let sql = generator.statement()
            let found = await all.run(sql) { $0.policy = ruled }
            let same = await permitted.run(sql) { $0.policy = ruled }
            // The views that take the tables' places are in the temporary schema.
            let expected = await permitted.run(sql.replacing("temp.t", with: "t")) { $0.policy = plain }
            let comment: Comment = "seed \(seed): \(sql)\nrules \(rules.rules)\nclaims \(rules.claims)"
            switch (found.end, same.end) {
            case (.completed, .completed):
                #expect(Self.sorted(found.log.rows) == Self.sorted(same.log.rows), comment)
            case (.failed(let failure), .failed(let other)):
                #expect((failure.code, failure.message) == (other.code, other.message), comment)
                #expect(!failure.message.contains("rule_"), comment)
            default:
                Issue.record("hidden rows decide: \(found.end), without them \(same.end) \(comment)")
            }
            switch (found.end, expected.end) {
            case (.completed, .completed):
                let (found, expected) = (Self.sorted(found.log.rows), Self.sorted(expected.log.rows))
                #expect(found == expected, comment)
                classes.equal += 1
                if !found.isEmpty { classes.equalWithRows += 1 }
            case (.completed, .failed(let failure)):
                // Of permitted rows, others may be read first.
                #expect(failure.code == .sqlError, "\(failure) \(comment)")
                classes.failedOtherwise += 1
            case (.failed, .completed):
                classes.refused += 1
            case (.failed, .failed):
                classes.bothFailed += 1
            default:
                Issue.record("\(found.end) \(expected.end) \(comment)")
            }
        }
        _ = await all.service.shutDown(within: .seconds(10))
        _ = await permitted.service.shutDown(within: .seconds(10))
    }

    /// SQL that leaves only the permitted rows, with the claims as literals.
    private static func deletion(_ rules: SQLRowRules) -> String {
        rules.rules.map { rule in
            var condition = rule.condition
            for (name, value) in rules.claims {
                condition = condition.replacing(SQLRowRules.claim(name), with: literal(value))
            }
            return "DELETE FROM \(rule.table) WHERE (\n\(condition)\n) IS NOT TRUE;"
        }.joined()
    }

    private static func literal(_ value: SQLiteValue) -> String {
        switch value {
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let text): "'\(text.replacing("'", with: "''"))'"
        default: "NULL"
        }
    }

    private static func sorted(_ rows: [[SQLiteValue]]) -> [String] { rows.map { "\($0)" }.sorted() }
}
