import ChangeCapture
import RandomSupport

/// Statements that change the schema, and those that look as if they did.
extension ScriptGenerator {
    private static let names = [
        "t1", "t2", "t3", "t4", "caf\u{e9}", "cafe\u{301}", "quo\"te", "select",
    ]
    private static let columnNames = ["a", "b", "c", "d", "e\u{301}", "\u{e9}", "rowid", "x y"]

    mutating func definition() -> String {
        let tables = schema.visibleTables.map(\.description)
        guard tables.count > 2 else { return createTable() }
        let table = random.pick(tables)
        let name = SQLName(table.name).quoted
        switch random.below(30) {
        case 0..<5: return tables.count < 7 ? createTable() : "DROP TABLE IF EXISTS \(name)"
        case 5: return table.kind == .view ? "DROP VIEW \(name)" : "DROP TABLE \(name)"
        case 6..<9: return alter(table)
        case 9..<12: return createTrigger(table)
        case 12: return "DROP TRIGGER IF EXISTS r\(random.below(4))"
        case 13..<15: return createIndex(table)
        case 15: return "DROP INDEX IF EXISTS i\(random.below(4))"
        case 16: return "CREATE VIEW IF NOT EXISTS v\(random.below(2)) AS SELECT * FROM \(name)"
        case 17: return "DROP VIEW IF EXISTS v\(random.below(2))"
        case 18: return "CREATE TABLE IF NOT EXISTS \(name)(x)"
        case 19: return "CREATE TABLE \(newName()) AS SELECT * FROM \(name)"
        case 20: return "ANALYZE"
        case 21: return "REINDEX"
        case 22: return "VACUUM"
        case 23: return "CREATE TEMP TABLE IF NOT EXISTS temporary(a)"
        case 24: return "INSERT INTO temp.temporary VALUES(1)"
        case 25: return "CREATE VIRTUAL TABLE IF NOT EXISTS fts USING fts5(x)"
        case 26: return "CREATE VIRTUAL TABLE IF NOT EXISTS rt USING rtree(id, x0, x1)"
        case 27:
            return random.pick([
                "DROP TABLE IF EXISTS fts", "DROP TABLE IF EXISTS rt", "ALTER TABLE fts RENAME TO ftsb",
            ])
        case 28: return "PRAGMA user_version = \(random.below(9))"
        default: return "DELETE FROM nowhere"
        }
    }

    private mutating func newName() -> String { SQLName(random.pick(Self.names)).quoted }

    mutating func createTable() -> String {
        var names: [String] = []
        for name in Self.columnNames where random.chance(45) { names.append(name) }
        if names.isEmpty { names = ["a"] }
        if random.chance(40) { names.shuffle(using: &random) }
        let kind = random.below(6)
        let keyed = random.pick(names)
        var columns = names.map { name -> String in
            let quoted = SQLName(name).quoted
            if name == keyed, kind == 1 || kind == 2 {
                return kind == 1
                    ? "\(quoted) INTEGER PRIMARY KEY\(random.chance(30) ? " AUTOINCREMENT" : "")"
                    : "\(quoted) \(random.pick(["TEXT", "REAL", "INT", ""])) PRIMARY KEY"
            }
            return "\(quoted) \(columnType())\(constraint())"
        }
        if random.chance(20) {
            let base = SQLName(random.pick(names)).quoted
            let generated =
                "\(random.pick(["g", "h"])) \(random.pick(["", "REAL", "TEXT"])) AS (\(random.pick(["\(base) || 'x'", "\(base) + 1", "typeof(\(base))"]))) \(random.pick(["VIRTUAL", "STORED"]))"
            columns.insert(generated, at: random.below(columns.count + 1))
        }
        var suffix = ""
        if kind >= 4 {
            let keys = kind == 5 && names.count > 1 ? Array(names.shuffled(using: &random).prefix(2)) : [keyed]
            let collation = random.chance(20) ? " COLLATE NOCASE" : ""
            columns.append("PRIMARY KEY(\(keys.map { SQLName($0).quoted + collation }.joined(separator: ", ")))")
            suffix = " WITHOUT ROWID"
        }
        return "CREATE TABLE \(newName())(\(columns.joined(separator: ", ")))\(suffix)"
    }

    private mutating func columnType() -> String {
        random.pick(["", "INT", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "DOUBLE"])
    }

    private mutating func constraint() -> String {
        switch random.below(16) {
        case 0: return " UNIQUE"
        case 1: return " DEFAULT \(random.pick(["5", "'x'", "2.0", "NULL"]))"
        case 2: return " NOT NULL DEFAULT \(random.pick(["7", "'n'"]))"
        case 3: return " CHECK(typeof(\(random.below(3))) <> 'blob')"
        case 4, 5:
            let parents = schema.visibleTables.map(\.description)
                .filter { $0.kind == .table && $0.primaryKey.count == 1 }
            guard !parents.isEmpty else { return "" }
            let deletion = random.pick(["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"])
            let update = random.pick(["CASCADE", "SET NULL", "NO ACTION"])
            return " REFERENCES \(SQLName(random.pick(parents).name).quoted) ON DELETE \(deletion) ON UPDATE \(update)"
                + (random.chance(40) ? " DEFERRABLE INITIALLY DEFERRED" : "")
        default: return ""
        }
    }

    private mutating func alter(_ table: TableDescription) -> String {
        let name = SQLName(table.name).quoted
        switch random.below(8) {
        case 0..<3:
            let type = columnType()
            let rest = random.pick(["", " DEFAULT 'd'", " DEFAULT 4", " NOT NULL DEFAULT 1", " AS (1 + 1)"])
            return "ALTER TABLE \(name) ADD COLUMN \(SQLName(random.pick(["n1", "n2", "n3"])).quoted) \(type)\(rest)"
        case 3..<5:
            guard let column = table.columns.randomElement(using: &random) else { return "ANALYZE" }
            return "ALTER TABLE \(name) DROP COLUMN \(SQLName(column.name).quoted)"
        case 5:
            guard let column = table.columns.randomElement(using: &random) else { return "ANALYZE" }
            return "ALTER TABLE \(name) RENAME COLUMN \(SQLName(column.name).quoted) TO \(random.pick(["m1", "m2"]))"
        default: return "ALTER TABLE \(name) RENAME TO \(newName())"
        }
    }

    private mutating func createIndex(_ table: TableDescription) -> String {
        guard let column = table.columns.randomElement(using: &random) else { return "ANALYZE" }
        let unique = random.chance(25) ? "UNIQUE " : ""
        return
            "CREATE \(unique)INDEX IF NOT EXISTS i\(random.below(4)) ON \(SQLName(table.name).quoted)(\(SQLName(column.name).quoted))"
    }

    private mutating func createTrigger(_ table: TableDescription) -> String {
        let name = SQLName(table.name).quoted
        let event = random.pick(["INSERT", "UPDATE", "DELETE"])
        let moment = table.kind == .view ? "INSTEAD OF" : random.pick(["AFTER", "AFTER", "BEFORE"])
        let other =
            schema.visibleTables.map(\.description).filter { $0.kind == .table }.randomElement(using: &random) ?? table
        let target = SQLName(other.name).quoted
        let column = SQLName(
            other.columns.filter { $0.visibility == .normal }.randomElement(using: &random)?.name ?? "a"
        ).quoted
        let action =
            switch random.below(8) {
            case 0, 1: "INSERT OR IGNORE INTO \(target)(\(column)) VALUES(\(value()))"
            case 2, 3: "UPDATE \(target) SET \(column) = \(value()) WHERE \(column) = \(value())"
            case 4: "DELETE FROM \(target) WHERE \(column) = \(value())"
            case 5: "REPLACE INTO \(target)(\(column)) VALUES(\(value()))"
            case 6: "UPDATE OR IGNORE \(target) SET \(column) = \(column) || 'y' WHERE \(column) IS NOT NULL"
            default:
                "SELECT RAISE(\(random.pick(["IGNORE", "FAIL, 'no'", "ABORT, 'no'", "ROLLBACK, 'no'"]))) WHERE (SELECT count(*) FROM \(target)) % 3 = 1"
            }
        return
            "CREATE TRIGGER IF NOT EXISTS r\(random.below(4)) \(moment) \(event) ON \(name) BEGIN \(action); END"
    }
}
