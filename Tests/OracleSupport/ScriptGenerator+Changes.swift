import ChangeCapture
import RandomSupport

/// Statements that change rows.
extension ScriptGenerator {
    mutating func change() -> String {
        let tables = schema.visibleTables.map(\.description).filter { !$0.name.hasPrefix("dbstat") }
        guard !tables.isEmpty else { return createTable() }
        return changeRows(of: random.pick(tables))
    }

    mutating func changeRows(of table: TableDescription) -> String {
        switch table.kind {
        case .virtual: return changeVirtual(table)
        case .view: return random.chance(50) ? insert(table) : delete(table)
        case .table: break
        }
        switch random.below(20) {
        case 0..<8: return insert(table)
        case 8..<10: return upsert(table)
        case 10..<16: return update(table)
        case 16..<19: return delete(table)
        default: return copy(table)
        }
    }

    private mutating func conflict(_ verb: String) -> String {
        random.chance(55)
            ? verb : "\(verb) OR \(random.pick(["REPLACE", "REPLACE", "IGNORE", "FAIL", "ABORT", "ROLLBACK"]))"
    }

    private func writable(_ table: TableDescription) -> [ColumnDescription] {
        table.columns.filter { $0.visibility == .normal }
    }

    private mutating func returning() -> String { random.chance(10) ? " RETURNING *" : "" }

    private mutating func condition(_ table: TableDescription) -> String {
        guard let column = table.columns.randomElement(using: &random) else { return "1" }
        let name = SQLName(column.name).quoted
        switch random.below(7) {
        case 0..<3: return "\(name) = \(value())"
        case 3: return "\(name) IS NULL"
        case 4: return "\(name) > \(value())"
        case 5: return "typeof(\(name)) = 'integer' AND \(name) <= \(value())"
        default: return table.rowidName.map { "\($0) % \(random.below(3) + 1) = 0" } ?? "\(name) IS NOT NULL"
        }
    }

    private mutating func insert(_ table: TableDescription) -> String {
        var columns = writable(table)
        if random.chance(30), columns.count > 1 { columns.remove(at: random.below(columns.count)) }
        guard !columns.isEmpty else { return "INSERT INTO \(SQLName(table.name).quoted) DEFAULT VALUES" }
        let names = columns.map { SQLName($0.name).quoted }.joined(separator: ", ")
        let rows = (0...random.below(4)).map { _ in
            "(" + columns.map { _ in value() }.joined(separator: ", ") + ")"
        }
        let source =
            random.chance(10)
            ? "WITH x AS (VALUES\(rows.joined(separator: ", "))) SELECT * FROM x"
            : "VALUES\(rows.joined(separator: ", "))"
        return "\(conflict("INSERT")) INTO \(SQLName(table.name).quoted)(\(names)) \(source)\(returning())"
    }

    private mutating func upsert(_ table: TableDescription) -> String {
        let columns = writable(table)
        guard !columns.isEmpty else { return insert(table) }
        let names = columns.map { SQLName($0.name).quoted }.joined(separator: ", ")
        let rows = (0...random.below(3)).map { _ in
            "(" + columns.map { _ in value() }.joined(separator: ", ") + ")"
        }
        let set = SQLName(random.pick(columns).name).quoted
        let action =
            random.chance(30)
            ? "DO NOTHING" : "DO UPDATE SET \(set) = \(random.chance(50) ? "excluded.\(set)" : value())"
        return
            "INSERT INTO \(SQLName(table.name).quoted)(\(names)) VALUES\(rows.joined(separator: ", ")) ON CONFLICT \(action)"
            + returning()
    }

    private mutating func update(_ table: TableDescription) -> String {
        let columns = writable(table)
        guard !columns.isEmpty else { return delete(table) }
        let assignments = (0...random.below(2)).map { _ -> String in
            let name = SQLName(random.pick(columns).name).quoted
            switch random.below(5) {
            case 0: return "\(name) = \(name)"
            case 1: return "\(name) = \(name) + 1"
            case 2: return "\(name) = \(SQLName(random.pick(table.columns).name).quoted)"
            default: return "\(name) = \(value())"
            }
        }
        var set = assignments.joined(separator: ", ")
        if let rowid = table.rowidName, random.chance(8) { set = "\(rowid) = \(rowid) + \(random.below(4) - 1)" }
        let filter = random.chance(20) ? "" : " WHERE \(condition(table))"
        return "\(conflict("UPDATE")) \(SQLName(table.name).quoted) SET \(set)\(filter)\(returning())"
    }

    private mutating func delete(_ table: TableDescription) -> String {
        let filter = random.chance(15) ? "" : " WHERE \(condition(table))"
        return "DELETE FROM \(SQLName(table.name).quoted)\(filter)\(returning())"
    }

    private mutating func copy(_ table: TableDescription) -> String {
        let sources = schema.visibleTables.map(\.description).filter { $0.kind == .table }
        let source = random.pick(sources)
        let columns = writable(table)
        guard !columns.isEmpty, !source.columns.isEmpty else { return insert(table) }
        let names = columns.map { SQLName($0.name).quoted }.joined(separator: ", ")
        let values = columns.map { _ in SQLName(random.pick(source.columns).name).quoted }.joined(separator: ", ")
        return
            "\(conflict("INSERT")) INTO \(SQLName(table.name).quoted)(\(names)) SELECT \(values) FROM \(SQLName(source.name).quoted) LIMIT \(random.below(5))"
    }

    private mutating func changeVirtual(_ table: TableDescription) -> String {
        let name = SQLName(table.name).quoted
        if table.sql.contains("rtree") {
            let low = random.below(10)
            return random.pick([
                "INSERT OR REPLACE INTO \(name) VALUES(\(random.below(6)), \(low), \(low + 2))",
                "DELETE FROM \(name) WHERE id = \(random.below(6))",
                "UPDATE \(name) SET x1 = x1 + 1 WHERE id = \(random.below(6))",
            ])
        }
        return random.pick([
            "INSERT INTO \(name)(x) VALUES('hello \(random.below(9))')",
            "DELETE FROM \(name) WHERE rowid = \(random.below(5))",
            "UPDATE \(name) SET x = 'other \(random.below(9))' WHERE rowid = \(random.below(5))",
        ])
    }
}
