package import ChangeCapture
import RandomSupport

/// Generates random statements for the current schema: mostly valid ones, and some that fail.
package struct ScriptGenerator {
    var random: SeededGenerator
    /// What the statements can refer to.
    package var schema = SchemaSnapshot()
    private var savepoints: [String] = []
    /// What comes next in any case.
    private var pending: [String] = []
    /// Whether the writer may do what the service refuses.
    let isForeign: Bool

    package init(seed: UInt64, isForeign: Bool = false) {
        random = SeededGenerator(seed: seed)
        self.isForeign = isForeign
    }

    /// What comes before everything else.
    package mutating func setUp() -> [ScriptStep] {
        var steps = [ScriptStep("PRAGMA foreign_keys = \(random.chance(70) ? "ON" : "OFF")")]
        if random.chance(40) { steps.append(ScriptStep("PRAGMA recursive_triggers = ON")) }
        if random.chance(20) { steps.append(ScriptStep("PRAGMA cache_size = 5")) }
        return steps
    }

    package mutating func table() -> ScriptStep { ScriptStep(createTable()) }

    /// The next statement.
    package mutating func next(isInTransaction: Bool) -> ScriptStep {
        if !isInTransaction { savepoints = [] }
        if !isInTransaction, pending.isEmpty, random.chance(6) { pending = composition() }
        if !pending.isEmpty { return ScriptStep(pending.removeFirst()) }
        let transactionWeight = isInTransaction ? 18 : 14
        switch random.below(100) {
        case 0..<transactionWeight: return ScriptStep(control(isInTransaction))
        case 18..<27: return ScriptStep(definition())
        case 27..<29: return blobWrite() ?? ScriptStep(change())
        default:
            let interrupt = random.chance(2) ? random.below(60) + 1 : nil
            return ScriptStep(change(), interruptAfter: interrupt)
        }
    }

    private mutating func control(_ isInTransaction: Bool) -> String {
        let name = random.pick(["a", "b", "A", "\"s p\""])
        guard isInTransaction else {
            if random.chance(20) {
                savepoints.append(name)
                return "SAVEPOINT \(name)"
            }
            return random.pick(["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "BEGIN"])
        }
        let known = savepoints.isEmpty ? name : random.pick(savepoints)
        switch random.below(10) {
        case 0..<3: return "COMMIT"
        case 3: return "ROLLBACK"
        case 4..<7:
            savepoints.append(name)
            return "SAVEPOINT \(name)"
        case 7: return "RELEASE \(known)"
        default: return "ROLLBACK TO \(known)"
        }
    }

    private mutating func blobWrite() -> ScriptStep? {
        let tables = schema.visibleTables.filter { $0.description.hasRowid && $0.description.kind == .table }
        guard !tables.isEmpty else { return nil }
        let table = random.pick(tables).description
        let columns = table.columns.filter { $0.visibility == .normal && $0.primaryKeyOrdinal == 0 }
        guard !columns.isEmpty else { return nil }
        let write = ScriptStep.BlobWrite(
            table: table.name,
            column: random.pick(columns).name,
            rowid: Int64(random.below(10)),
            // No digits: text in a numeric column that reads as a number would become one at its next update, and no
            // statement can store such text.
            bytes: [UInt8(random.below(20)) + UInt8(ascii: "g")]
        )
        return ScriptStep("", blobWrite: write)
    }

    // MARK: Values

    mutating func value() -> String {
        switch random.below(30) {
        case 0..<10: return "\(random.below(12))"
        case 10..<15: return random.pick(["'a'", "'b'", "'A'", "'c'", "'d'", "'e'"])
        case 15..<18: return "NULL"
        case 18: return random.pick(["9223372036854775807", "-9223372036854775808", "9007199254740993", "-1"])
        case 19:
            return random.pick([
                "3.0", "0.5", "-0.0", "9e999", "-9e999", "1e308*10-1e308*10", "4.0", "9007199254740993.0",
            ])
        case 20: return random.pick(["x''", "x'00'", "x'ff00'", "zeroblob(3)", "zeroblob(\(random.below(6000)))"])
        case 21 where random.chance(40):
            return random.pick(["'{\"a\":1}'", "'[1,2]'", "'{\"a\":\"x\"}'", "'null'"])
        case 21: return random.pick(["''", "'\u{e9}'", "'e\u{301}'", "'5'", "'5.0'", "' '", "'it''s'"])
        case 22: return random.pick(["CAST(x'ff61' AS TEXT)", "CAST(x'c3' AS TEXT)", "CAST(x'6100' AS TEXT)"])
        case 23: return "printf('%.*c', \(random.below(5000)), 'x')"
        default: return "\(random.below(6))"
        }
    }
}
