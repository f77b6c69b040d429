import RandomSupport
import SQLiteConnection

/// Random operations on the schema, and on the tables that they create and drop.
extension Operations {
    func dynamicTables() throws(SQLiteError) -> [String] {
        let rows = try connection.query("SELECT name FROM sqlite_schema WHERE type='table' AND name LIKE 'dyn%'")
        return rows.compactMap { row in if case .text(let name)? = row.first { name } else { nil } }
    }

    func columns(_ table: String) throws(SQLiteError) -> [String] {
        let rows = try connection.query("SELECT name FROM pragma_table_info(?)", [.text(table)])
        return rows.compactMap { row in if case .text(let name)? = row.first { name } else { nil } }
    }

    mutating func dynamicTable() throws(SQLiteError) {
        let tables = try dynamicTables()
        guard !tables.isEmpty else { return }
        let table = values.random.pick(tables)
        let columns = try columns(table)
        let others = columns.filter { $0 != "k" }
        switch values.random.int(0...19) {
        case 0..<14:
            for _ in 0..<values.random.pick([1, 3, 40]) {
                var row: [SQLiteValue] = []
                for column in columns {
                    row.append(column == "k" ? .integer(Int64(values.random.int(0...5_000))) : values.any())
                }
                let marks = columns.map { _ in "?" }.joined(separator: ",")
                _ = try connection.query(
                    "INSERT OR REPLACE INTO \(table)(\(columns.joined(separator: ","))) VALUES(\(marks))",
                    row
                )
            }
        case 14..<17:
            guard !others.isEmpty else { return }
            try run(
                "UPDATE \(table) SET \(values.random.pick(others))=? WHERE k%5=?",
                values.any(),
                .integer(Int64(values.random.int(0...4)))
            )
        default: try run("DELETE FROM \(table) WHERE k%4=?", .integer(Int64(values.random.int(0...3))))
        }
    }

    mutating func changeSchema(writer: Int) throws(SQLiteError) {
        let tables = try dynamicTables()
        let number = values.random.int(0...999_999)
        let choice = values.random.int(0...99)
        if choice < 20 || tables.isEmpty {
            guard tables.count < 6 else { return }
            let key = values.random.pick(["k INTEGER PRIMARY KEY", "k INT", "k INT PRIMARY KEY"])
            let tail = key == "k INT PRIMARY KEY" && values.random.chance(50) ? " WITHOUT ROWID" : ""
            try run("CREATE TABLE dyn\(writer)_\(number)(\(key), c1 TEXT, c2 REAL)\(tail)")
            return
        }
        let table = values.random.pick(tables)
        let columns = try columns(table)
        let others = columns.filter { $0 != "k" }
        switch choice {
        case 20..<25: try run("CREATE TABLE IF NOT EXISTS dync\(values.random.int(0...2)) AS SELECT * FROM \(table)")
        case 25..<35: try run("DROP TABLE \(table)")
        case 35..<55:
            guard columns.count < 9 else { return }
            let kind = values.random.pick([
                "", "INTEGER DEFAULT 7", "TEXT DEFAULT 'd é'", "REAL DEFAULT 3", "BLOB DEFAULT x'0102'",
                "NUMERIC DEFAULT -1.5", "TEXT NOT NULL DEFAULT ''", "TEXT DEFAULT 1.50", "DEFAULT \"active\"",
                "DEFAULT bare",
                "TEXT NOT NULL DEFAULT [x]", "REAL DEFAULT '7'", "DEFAULT 1.0", "TEXT DEFAULT 1e3",
                "\"odd (\" DEFAULT TRUE",
            ])
            try run("ALTER TABLE \(table) ADD COLUMN x\(number) \(kind)")
        case 55..<65:
            guard others.count > 1 else { return }
            try run("ALTER TABLE \(table) DROP COLUMN \(values.random.pick(others))")
        case 65..<72:
            guard !others.isEmpty else { return }
            try run("ALTER TABLE \(table) RENAME COLUMN \(values.random.pick(others)) TO r\(number)")
        case 72..<80: try run("ALTER TABLE \(table) RENAME TO dynr\(writer)_\(number)")
        case 80..<88: try run("CREATE INDEX IF NOT EXISTS ix_\(table) ON \(table)(\(values.random.pick(columns)))")
        case 88..<90:
            guard
                let index = try first("SELECT name FROM sqlite_schema WHERE type='index' AND name LIKE 'ix_%'")?.first,
                case .text(let name) = index
            else { return }
            try run("DROP INDEX \(name)")
        case 90..<92:
            guard tables.count > 1 else { return }
            let other = values.random.pick(tables.filter { $0 != table })
            try run("ALTER TABLE \(table) RENAME TO dyn_swapped")
            try run("ALTER TABLE \(other) RENAME TO \(table)")
            try run("ALTER TABLE dyn_swapped RENAME TO \(other)")
        case 92..<96:
            // How Rails and others rebuild a table.
            try run("CREATE TABLE dyn_new(k INTEGER PRIMARY KEY, c1, extra DEFAULT 5)")
            try run("INSERT OR IGNORE INTO dyn_new(k, c1) SELECT k, \(columns.last ?? "k") FROM \(table)")
            try run("DROP TABLE \(table)")
            try run("ALTER TABLE dyn_new RENAME TO \(table)")
        default: try run("ANALYZE")
        }
    }
}
