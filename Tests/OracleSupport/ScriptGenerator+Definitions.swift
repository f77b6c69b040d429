import ChangeCapture
import RandomSupport

/// Statements that change the schema, and statements that only appear to.
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
        if random.chance(6) { return createHiddenRowid() }
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
        if random.chance(35) {
            let base = SQLName(random.pick(names)).quoted
            let generated = random.pick(ColumnDefinitions.generated(base))
            columns.insert(
                "\(random.pick(["g", "h"])) \(generated) \(random.pick(["VIRTUAL", "VIRTUAL", "STORED"]))",
                at: random.below(columns.count + 1)
            )
        }
        var suffix = ""
        if kind >= 4 {
            let keys = kind == 5 && names.count > 1 ? Array(names.shuffled(using: &random).prefix(2)) : [keyed]
            var terms = keys.map { SQLName($0).quoted + (random.chance(20) ? " COLLATE NOCASE" : "") }
            // A column can be in the key once for each collation.
            while random.chance(35) {
                let collation = random.pick(["", " COLLATE NOCASE", " COLLATE RTRIM", " DESC"])
                terms.append(SQLName(random.pick(keys)).quoted + collation)
            }
            columns.append("PRIMARY KEY(\(terms.joined(separator: ", ")))")
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
        case 0..<3: return addColumn(table)
        case 3..<5:
            guard let column = table.columns.randomElement(using: &random) else { return "ANALYZE" }
            return "ALTER TABLE \(name) DROP COLUMN \(SQLName(column.name).quoted)"
        case 5:
            guard let column = table.columns.randomElement(using: &random) else { return "ANALYZE" }
            return "ALTER TABLE \(name) RENAME COLUMN \(SQLName(column.name).quoted) TO \(random.pick(["m1", "m2"]))"
        default: return "ALTER TABLE \(name) RENAME TO \(newName())"
        }
    }

    private mutating func addColumn(_ table: TableDescription) -> String {
        let column = random.pick(["n1", "n2", "n3"])
        // SQLite lets a column be added that is generated from itself, and then reads no row.
        let others = table.columns.filter { $0.name != column }
        let base = SQLName(others.randomElement(using: &random)?.name ?? "a").quoted
        let definition =
            switch random.below(6) {
            case 0: columnType()
            case 1, 2: random.pick(ColumnDefinitions.generated(base))
            default: random.pick(ColumnDefinitions.withDefault)
            }
        return "ALTER TABLE \(SQLName(table.name).quoted) ADD COLUMN \(column) \(definition)"
    }

    /// No name is left for the rowid.
    private mutating func createHiddenRowid() -> String {
        let columns = ["rowid", "oid", "_rowid_", "v \(random.pick(["", "AS (rowid || oid)", "DEFAULT bare"]))"]
        return "CREATE TABLE \(newName())(\(columns.shuffled(using: &random).joined(separator: ", ")))"
    }

    /// One transaction of several statements that rarely occur together.
    mutating func composition() -> [String] {
        let tables = schema.visibleTables.map(\.description).filter { $0.kind == .table }
        guard tables.count > 1 else { return [createTable()] }
        if random.chance(8) { return addFirstColumn() }
        let table = random.pick(tables)
        let name = SQLName(table.name).quoted
        let other = random.pick(tables)
        let body: [String] =
            switch random.below(11) {
            case 0, 1: [addColumn(table), changeRows(of: table), addColumn(table), changeRows(of: table)]
            case 2, 3: [alter(table), changeRows(of: table), alter(table), change()]
            case 4 where other.name != table.name: swap(table, other)
            case 5: contentTable()
            case 6: ["DROP INDEX IF EXISTS i0", createIndex(other), "DROP INDEX IF EXISTS i1", createIndex(table)]
            case 7: ["DROP TABLE \(name)", createTable(), change()]
            case 8, 9: renameAndAlter(table)
            default: isForeign ? editSchema(table) : [alter(table), changeRows(of: table)]
            }
        return ["BEGIN IMMEDIATE"] + body + [random.pick(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])]
    }

    private mutating func swap(_ table: TableDescription, _ other: TableDescription) -> [String] {
        let (name, otherName) = (SQLName(table.name).quoted, SQLName(other.name).quoted)
        return [
            change(), "ALTER TABLE \(name) RENAME TO swapped", "ALTER TABLE \(otherName) RENAME TO \(name)",
            "ALTER TABLE swapped RENAME TO \(otherName)", random.pick([change(), alter(table), alter(other)]),
        ]
    }

    /// One or two new names of the table, among alterations of its columns and changes of its rows.
    private mutating func renameAndAlter(_ table: TableDescription) -> [String] {
        var table = table
        var statements: [String] = []
        let count = random.below(3) + 2
        let renamed = random.below(count)
        for step in 0..<count {
            if random.chance(40) { statements.append(changeRows(of: table)) }
            guard step == renamed || random.chance(25) else {
                statements.append(alterColumns(of: &table))
                continue
            }
            let newName = "t\(random.below(6))"
            statements.append("ALTER TABLE \(SQLName(table.name).quoted) RENAME TO \(newName)")
            table.name = newName
        }
        return statements
    }

    private mutating func alterColumns(of table: inout TableDescription) -> String {
        guard !table.columns.isEmpty, random.chance(70) else { return addColumn(table) }
        let position = random.below(table.columns.count)
        let (name, column) = (SQLName(table.name).quoted, SQLName(table.columns[position].name).quoted)
        if random.chance(30) {
            table.dropColumn(at: position)
            return "ALTER TABLE \(name) DROP COLUMN \(column)"
        }
        let newName = random.pick(["m1", "m2", "m3"])
        table.columns[position].name = newName
        return "ALTER TABLE \(name) RENAME COLUMN \(column) TO \(newName)"
    }

    /// A column that is added to rows, and becomes the first one when those before it are dropped.
    private mutating func addFirstColumn() -> [String] {
        let change = random.pick([
            "INSERT INTO firsts(n1) VALUES(5)", "UPDATE firsts SET n1 = 1 WHERE rowid = 2",
            "DELETE FROM firsts WHERE rowid = 1", "UPDATE firsts SET n1 = n1", "SELECT 1",
        ])
        return [
            "DROP TABLE IF EXISTS firsts", "CREATE TABLE firsts(w, u)",
            "INSERT INTO firsts VALUES(1, 1), ('x', NULL), (x'00', 2.5)", "BEGIN IMMEDIATE",
            "ALTER TABLE firsts ADD COLUMN n1 \(random.pick(ColumnDefinitions.withDefault))",
            "ALTER TABLE firsts DROP COLUMN w", change, "ALTER TABLE firsts DROP COLUMN u", "COMMIT",
        ]
    }

    /// A user table that is named like one of a module's own tables, or a module's own table.
    private mutating func contentTable() -> [String] {
        let module = random.pick([
            "fts5(x, content='note_content')", "fts4(content=\"note_content\", x)", "fts4(content=\"note_content\")",
            "fts5(x)",
        ])
        return [
            "CREATE TABLE IF NOT EXISTS note_content(x, y)",
            "CREATE VIRTUAL TABLE IF NOT EXISTS note USING \(module)", "INSERT INTO note_content VALUES('a', 1)",
            "INSERT INTO note(rowid, x) VALUES(1, 'a')",
            random.pick([
                "DROP TABLE note", "DELETE FROM note_content", "DROP TABLE note_content", "SELECT 1",
                "ALTER TABLE note_content ADD COLUMN n1", "ALTER TABLE note_content RENAME COLUMN y TO m1",
            ]),
        ]
    }

    /// Changes that only a program with exclusive access makes: another default, another type, another expression.
    private mutating func editSchema(_ table: TableDescription) -> [String] {
        let edit = random.pick([
            "replace(sql, 'DEFAULT 1', 'DEFAULT 7')", "replace(sql, 'active', 'passive')",
            "replace(sql, 'upper(', 'lower(')", "replace(sql, 'REAL DEFAULT', 'TEXT DEFAULT')",
        ])
        return [
            changeRows(of: table), "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET sql = \(edit) WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'",
            "PRAGMA writable_schema = RESET",
        ]
    }

    private mutating func createIndex(_ table: TableDescription) -> String {
        if random.chance(25), let column = table.columns.randomElement(using: &random) {
            let name = SQLName(column.name).quoted
            let expression = "CASE WHEN json_valid(\(name)) THEN json_extract(\(name), '$.a') END"
            let index = "CREATE INDEX IF NOT EXISTS i\(random.below(4)) ON \(SQLName(table.name).quoted)(\(expression))"
            return index + random.pick(["", " WHERE json_valid(\(name))"])
        }
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

extension TableDescription {
    /// As `ALTER TABLE … DROP COLUMN`, which refuses columns of the primary key.
    fileprivate mutating func dropColumn(at position: Int) {
        guard !primaryKey.contains(position), rowidAlias != position else { return }
        columns.remove(at: position)
        primaryKey = primaryKey.map { $0 > position ? $0 - 1 : $0 }
        rowidAlias = rowidAlias.map { $0 > position ? $0 - 1 : $0 }
    }
}
