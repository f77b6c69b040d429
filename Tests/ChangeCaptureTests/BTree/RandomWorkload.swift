import OracleSupport
import RandomSupport
import SQLiteConnection

/// Random transactions on a schema with every kind of table, for comparison with the decoder.
struct RandomWorkload {
    static let schema = """
        CREATE TABLE t_rowid(a TEXT, b, c REAL);
        CREATE TABLE t_ipk(id INTEGER PRIMARY KEY, name TEXT, val NUMERIC, data BLOB, UNIQUE(name));
        CREATE INDEX t_ipk_val ON t_ipk(val);
        CREATE INDEX t_ipk_partial ON t_ipk(data DESC) WHERE val IS NOT NULL;
        CREATE TABLE t_auto(id INTEGER PRIMARY KEY AUTOINCREMENT, x);
        CREATE TABLE t_wr(v BLOB, k1 TEXT, w REAL, k2 INT, PRIMARY KEY(k2, k1)) WITHOUT ROWID;
        CREATE TABLE t_wrbig(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;
        CREATE TABLE t_blob(id INTEGER PRIMARY KEY, data BLOB, n);
        CREATE TABLE t_small(id INTEGER PRIMARY KEY, n INT);
        CREATE TABLE t_gen(a INT, g1 AS (a * 2) VIRTUAL, b TEXT, g2 AS (b || 'x') STORED, c);
        CREATE TABLE parent(id INTEGER PRIMARY KEY, n);
        CREATE TABLE child(id INTEGER PRIMARY KEY, pid INT REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, x);
        CREATE INDEX child_pid ON child(pid);
        CREATE TABLE t_nocase(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID;
        CREATE TABLE t_strict(id INTEGER PRIMARY KEY, r REAL, t TEXT, a ANY) STRICT;
        CREATE TABLE t_log(op, id, x);
        CREATE TRIGGER tr1 AFTER INSERT ON t_strict BEGIN INSERT INTO t_log VALUES('i', new.id, new.t); END;
        CREATE TRIGGER tr2 AFTER DELETE ON t_strict BEGIN DELETE FROM t_log WHERE id = old.id; END;
        """

    var random: SeededGenerator
    let connection: Connection
    let pageSize: Int
    var isIncrementalVacuum = false
    private var names = 0

    init(seed: UInt64, connection: Connection, pageSize: Int) {
        random = SeededGenerator(seed: seed)
        self.connection = connection
        self.pageSize = pageSize
    }

    /// Runs one transaction, or one statement that cannot be part of a transaction.
    mutating func step() throws {
        if random.chance(2) {
            try? connection.execute("VACUUM")
            return
        }
        if isIncrementalVacuum, random.chance(5) {
            _ = try connection.query("PRAGMA incremental_vacuum(\(random.below(30) + 1))")
            return
        }
        try connection.execute("BEGIN IMMEDIATE")
        for _ in 0..<[1, 1, 1, 2, 3, 10][random.below(6)] {
            let hasSavepoint = random.chance(25)
            if hasSavepoint { try connection.execute("SAVEPOINT s") }
            do {
                try operate()
            } catch let error as SQLiteError {
                // Errors of constraints, missing tables and the like are expected.
                guard error.code.primary != .corrupt else { throw error }
                if hasSavepoint { try connection.execute("ROLLBACK TO s") }
            }
            if hasSavepoint {
                if random.chance(30) { try connection.execute("ROLLBACK TO s") }
                try connection.execute("RELEASE s")
            }
        }
        try connection.execute(random.chance(5) ? "ROLLBACK" : "COMMIT")
    }

    private mutating func operate() throws {
        switch random.below(76) {
        case 0..<8: try rowids()
        case 8..<18: try integerKeys()
        case 18..<22: try autoincrement()
        case 22..<32: try withoutRowid()
        case 32..<36: try bigKeys()
        case 36..<44: try blobs()
        case 44..<52: try smallRows()
        case 52..<56: try generated()
        case 56..<61: try cascades()
        case 61..<64: try strict()
        case 64..<68: try noCase()
        case 68..<72: try dynamicRows()
        default: try dynamicSchema()
        }
    }

    // MARK: Values

    private mutating func text(_ length: Int) -> String {
        let alphabet: [Character] = random.chance(10) ? Array("äöü€漢字😀abc") : Array("abcdefghijklmnopqrstuvwxyz ")
        return String((0..<length).map { _ in alphabet[random.below(alphabet.count)] })
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private mutating func value() -> SQLiteValue {
        switch random.below(100) {
        case 0..<8: return .null
        case 8..<20:
            let edges: [Int64] = [
                0, 1, -1, 127, 128, -128, -129, 32_767, 32_768, -32_769, 8_388_607, 8_388_608, -8_388_609,
                2_147_483_647, 2_147_483_648, 140_737_488_355_327, 140_737_488_355_328, -140_737_488_355_329,
                .max, .min,
            ]
            return .integer(edges[random.below(edges.count)])
        case 20..<35: return .integer(Int64.random(in: -1_000_000...1_000_000, using: &random))
        case 35..<50:
            return .real([0, 1, -1.5, 1e300, 9_007_199_254_740_992, 3.25, Double(random.below(2000))][random.below(7)])
        case 50..<60: return .text(String(random.below(1000)))
        case 60..<85: return .text(text([0, 1, 5, 30, random.below(300)][random.below(5)]))
        default: return .blob(bytes([0, 1, 10, 100, random.below(400)][random.below(5)]))
        }
    }

    private mutating func blob() -> [UInt8] {
        switch random.below(100) {
        case 0..<50: bytes(random.below(pageSize / 2))
        case 50..<85: bytes(pageSize / 2 + random.below(pageSize * 3))
        default: bytes(pageSize + random.below(pageSize * (pageSize > 8192 ? 3 : 19)))
        }
    }

    private mutating func rowid() -> SQLiteValue {
        switch random.below(100) {
        case 0..<60: .integer(Int64(random.below(3000)))
        case 60..<80: .integer(Int64.random(in: -1000...1_000_000, using: &random))
        case 80..<90: .integer(Int64.random(in: .min ... .max, using: &random))
        default: .integer([0, -1, .max, .min, 1 << 31, 1 << 56][random.below(6)])
        }
    }

    @discardableResult
    private func run(_ sql: String, _ values: SQLiteValue...) throws -> [[SQLiteValue]] {
        try connection.query(sql, values)
    }

    /// The rowid of some row.
    private mutating func pick(_ table: String) throws -> SQLiteValue {
        let count = try run("SELECT count(*) FROM \(table)")
        guard case .integer(let count) = count[0][0], count > 0 else { return .null }
        return try run("SELECT rowid FROM \(table) LIMIT 1 OFFSET ?", .integer(Int64(random.below(Int(count)))))[0][0]
    }

    private mutating func keepBelow(_ limit: Int, _ table: String) throws {
        try run(
            "DELETE FROM \(table) WHERE (SELECT count(*) FROM \(table)) > \(limit) AND rowid IN (SELECT rowid FROM \(table) LIMIT \(limit / 2) OFFSET \(random.below(limit / 2)))"
        )
    }

    // MARK: Operations

    private mutating func rowids() throws {
        switch random.below(100) {
        case 0..<50: try run("INSERT INTO t_rowid VALUES(?, ?, ?)", .text(text(random.below(60))), value(), value())
        case 50..<75:
            try run(
                "UPDATE t_rowid SET \(["a", "b", "c"][random.below(3)]) = ? WHERE rowid = ?",
                value(),
                try pick("t_rowid")
            )
        case 75..<95: try run("DELETE FROM t_rowid WHERE rowid = ?", try pick("t_rowid"))
        default: try keepBelow(300, "t_rowid")
        }
    }

    private mutating func integerKeys() throws {
        switch random.below(100) {
        case 0..<30:
            try run(
                "INSERT OR IGNORE INTO t_ipk VALUES(?, ?, ?, ?)",
                rowid(),
                .text(text(random.below(20) + 1)),
                value(),
                .blob(bytes(random.below(80)))
            )
        case 30..<50:
            try run(
                "INSERT OR REPLACE INTO t_ipk VALUES(?, ?, ?, ?)",
                rowid(),
                .text(text(random.below(6))),
                value(),
                value()
            )
        case 50..<60:
            try run(
                "INSERT INTO t_ipk(id, name, val) VALUES(?, ?, ?) ON CONFLICT(id) DO UPDATE SET val = excluded.val",
                .integer(Int64(random.below(3000))),
                .text(text(8)),
                value()
            )
        case 60..<75:
            try run(
                "UPDATE OR REPLACE t_ipk SET name = ?, val = ? WHERE id = ?",
                .text(text(2)),
                value(),
                try pick("t_ipk")
            )
        case 75..<82: try run("UPDATE OR REPLACE t_ipk SET id = ? WHERE id = ?", rowid(), try pick("t_ipk"))
        case 82..<97: try run("DELETE FROM t_ipk WHERE id = ?", try pick("t_ipk"))
        default: try keepBelow(400, "t_ipk")
        }
    }

    private mutating func autoincrement() throws {
        if random.chance(60) {
            try run("INSERT INTO t_auto(x) VALUES(?)", value())
        } else {
            try run("DELETE FROM t_auto WHERE id = ?", try pick("t_auto"))
        }
    }

    private mutating func withoutRowid() throws {
        let some = "(SELECT k1, k2 FROM t_wr WHERE k2 >= \(random.below(40)) LIMIT 1)"
        switch random.below(100) {
        case 0..<45:
            try run(
                "INSERT OR REPLACE INTO t_wr(k1, k2, v, w) VALUES(?, ?, ?, ?)",
                .text(text(random.below(12))),
                .integer(Int64(random.below(40))),
                value(),
                value()
            )
        case 45..<70: try run("UPDATE t_wr SET \(random.chance(50) ? "v" : "w") = ? WHERE (k1, k2) IN \(some)", value())
        case 70..<80: try run("UPDATE OR REPLACE t_wr SET k1 = ? WHERE (k1, k2) IN \(some)", .text(text(3)))
        case 80..<95: try run("DELETE FROM t_wr WHERE (k1, k2) IN \(some)")
        default: try run("DELETE FROM t_wr WHERE k2 % 3 = 0 AND (SELECT count(*) FROM t_wr) > 300")
        }
    }

    private mutating func bigKeys() throws {
        let some = "(SELECT k FROM t_wrbig WHERE k >= x'\(random.below(9))\(random.below(9))' LIMIT 1)"
        switch random.below(100) {
        case 0..<50:
            try run(
                "INSERT OR REPLACE INTO t_wrbig VALUES(?, ?)",
                .blob(bytes([2, 8, pageSize / 4, pageSize, pageSize * 2][random.below(5)])),
                .blob(blob())
            )
        case 50..<65: try run("UPDATE t_wrbig SET v = ? WHERE k IN \(some)", .blob(blob()))
        case 65..<80:
            // The same size: SQLite overwrites it in place.
            let rows = try connection.query("SELECT k, v FROM t_wrbig WHERE k IN \(some)")
            if let row = rows.first, case .blob(var bytes) = row[1], !bytes.isEmpty {
                bytes[random.below(bytes.count)] ^= 0x55
                try run("UPDATE t_wrbig SET v = ? WHERE k = ?", .blob(bytes), row[0])
            }
        default: try run("DELETE FROM t_wrbig WHERE k IN \(some)")
        }
        try run("DELETE FROM t_wrbig WHERE (SELECT count(*) FROM t_wrbig) > 40 AND length(k) % 2 = 0")
    }

    private mutating func blobs() throws {
        switch random.below(100) {
        case 0..<30:
            try run(
                "INSERT OR REPLACE INTO t_blob VALUES(?, ?, ?)",
                .integer(Int64(random.below(60))),
                .blob(blob()),
                value()
            )
        case 30..<80:
            let id = try pick("t_blob")
            let rows = try run("SELECT data FROM t_blob WHERE id = ?", id)
            if let row = rows.first, case .blob(var bytes) = row[0], !bytes.isEmpty {
                let tail = random.chance(70) ? min(bytes.count, pageSize) : bytes.count
                bytes[bytes.count - 1 - random.below(tail)] ^= 0x33
                try run("UPDATE t_blob SET data = ? WHERE id = ?", .blob(bytes), id)
            }
        case 80..<93: try run("DELETE FROM t_blob WHERE id = ?", try pick("t_blob"))
        default: try run("UPDATE t_blob SET n = ? WHERE id % 7 = ?", value(), .integer(Int64(random.below(7))))
        }
    }

    private mutating func smallRows() throws {
        let start = random.below(8000)
        switch random.below(100) {
        case 0..<40:
            let count = [1, 5, 100, 1000][random.below(4)]
            let stride = [1, 3][random.below(2)]
            try connection.execute(
                "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i + 1 < \(count)) INSERT OR IGNORE INTO t_small SELECT \(start) + i * \(stride), i % 9 FROM c"
            )
        case 40..<70:
            try run(
                "UPDATE t_small SET n = n + 1 WHERE id BETWEEN \(start) AND \(start + [1, 10, 500][random.below(3)])"
            )
        case 70..<90:
            try run("DELETE FROM t_small WHERE id BETWEEN \(start) AND \(start + [1, 10, 1000][random.below(3)])")
        case 90..<92: try run("DELETE FROM t_small")
        case 92..<96: try run("UPDATE OR REPLACE t_small SET id = id + \(random.below(900)) WHERE id % 11 = 0")
        default: try run("UPDATE t_small SET n = n")
        }
    }

    private mutating func generated() throws {
        switch random.below(100) {
        case 0..<60:
            try run(
                "INSERT INTO t_gen(a, b, c) VALUES(?, ?, ?)",
                .integer(Int64(random.below(1000))),
                .text(text(5)),
                value()
            )
        case 60..<80: try run("UPDATE t_gen SET a = a + 1, b = ? WHERE rowid = ?", .text(text(4)), try pick("t_gen"))
        default: try run("DELETE FROM t_gen WHERE rowid = ?", try pick("t_gen"))
        }
    }

    private mutating func cascades() throws {
        switch random.below(100) {
        case 0..<30:
            try run("INSERT OR IGNORE INTO parent VALUES(?, ?)", .integer(Int64(random.below(60))), .text(text(4)))
        case 30..<75: try run("INSERT INTO child(pid, x) VALUES(?, ?)", try pick("parent"), value())
        case 75..<90: try run("DELETE FROM parent WHERE id = ?", try pick("parent"))
        default:
            try run(
                "UPDATE OR IGNORE parent SET id = ? WHERE id = ?",
                .integer(Int64(random.below(60))),
                try pick("parent")
            )
        }
    }

    private mutating func strict() throws {
        try run(
            "INSERT OR REPLACE INTO t_strict VALUES(?, ?, ?, ?)",
            .integer(Int64(random.below(200))),
            [.integer(1), .real(2.5), .integer(3)][random.below(3)],
            .text(text(9)),
            value()
        )
        if random.chance(20) { try run("DELETE FROM t_strict WHERE id = ?", try pick("t_strict")) }
    }

    private mutating func noCase() throws {
        let word = String((0..<3).map { _ in Array("abAB")[random.below(4)] })
        let other = random.chance(50) ? word.uppercased() : word.lowercased()
        switch random.below(100) {
        case 0..<50: try run("INSERT OR REPLACE INTO t_nocase VALUES(?, ?)", .text(word), value())
        case 50..<80: try run("UPDATE OR REPLACE t_nocase SET k = ? WHERE k = ?", .text(other), .text(word))
        default: try run("DELETE FROM t_nocase WHERE k = ?", .text(word))
        }
    }

    // MARK: Tables that come and go

    private func dynamicTables() throws -> [String] {
        try connection.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dyn*'").compactMap {
            if case .text(let name) = $0[0] { name } else { nil }
        }
    }

    private func columns(_ table: String) throws -> [String] {
        try run("SELECT name FROM pragma_table_info(?)", .text(table)).compactMap {
            if case .text(let name) = $0[0] { name } else { nil }
        }
    }

    private mutating func dynamicRows() throws {
        let tables = try dynamicTables()
        guard !tables.isEmpty else { return try dynamicSchema() }
        let table = tables[random.below(tables.count)]
        let columns = try columns(table)
        let others = columns.filter { $0 != "k" }
        switch random.below(100) {
        case 0..<70:
            for _ in 0..<[1, 3, 40][random.below(3)] {
                let values = columns.map { $0 == "k" ? .integer(Int64(random.below(5000))) : value() }
                let places = columns.map { _ in "?" }.joined(separator: ",")
                _ = try connection.query(
                    "INSERT OR REPLACE INTO \(table)(\(columns.joined(separator: ","))) VALUES(\(places))",
                    values
                )
            }
        case 70..<85 where !others.isEmpty:
            try run(
                "UPDATE \(table) SET \(others[random.below(others.count)]) = ? WHERE k % 5 = \(random.below(5))",
                value()
            )
        default: try run("DELETE FROM \(table) WHERE k % 4 = \(random.below(4))")
        }
    }

    private mutating func dynamicSchema() throws {
        let tables = try dynamicTables()
        names += 1
        let table = tables.isEmpty ? "" : tables[random.below(tables.count)]
        switch random.below(100) {
        case _ where tables.isEmpty, 0..<20:
            guard tables.count < 6 else { return }
            let kind = ["k INTEGER PRIMARY KEY", "k INT", "k INT PRIMARY KEY"][random.below(3)]
            let suffix = kind == "k INT PRIMARY KEY" && random.chance(50) ? " WITHOUT ROWID" : ""
            try connection.execute("CREATE TABLE dyn\(names)_\(random.below(1000))(\(kind), c1 TEXT, c2 REAL)\(suffix)")
        case 20..<25:
            try connection.execute("CREATE TABLE IF NOT EXISTS dync\(random.below(3)) AS SELECT * FROM \(table)")
        case 25..<33: try connection.execute("DROP TABLE \(table)")
        case 33..<36:
            // Two tables trade places.
            guard tables.count > 1, tables[0] != tables[1] else { return }
            try connection.execute("DROP TABLE \(tables[0]); ALTER TABLE \(tables[1]) RENAME TO \(tables[0])")
        case 36..<55:
            guard try columns(table).count < 9 else { return }
            let definitions = [
                "", "INTEGER DEFAULT 7", "TEXT DEFAULT 'd é'", "REAL DEFAULT 3", "BLOB DEFAULT x'0102'",
                "NUMERIC DEFAULT -1.5", "TEXT NOT NULL DEFAULT ''", "AS (k + 1) VIRTUAL",
            ]
            try connection.execute(
                "ALTER TABLE \(table) ADD COLUMN x\(random.below(1_000_000)) \(definitions[random.below(definitions.count)])"
            )
        case 55..<65:
            let others = try columns(table).filter { $0 != "k" }
            guard others.count > 1 else { return }
            try connection.execute("ALTER TABLE \(table) DROP COLUMN \(others[random.below(others.count)])")
        case 65..<72:
            let others = try columns(table).filter { $0 != "k" }
            guard !others.isEmpty else { return }
            try connection.execute(
                "ALTER TABLE \(table) RENAME COLUMN \(others[random.below(others.count)]) TO r\(random.below(1_000_000))"
            )
        case 72..<80: try connection.execute("ALTER TABLE \(table) RENAME TO dynr\(random.below(1_000_000))")
        case 80..<86:
            let columns = try columns(table)
            try connection.execute(
                "CREATE INDEX IF NOT EXISTS ix_\(table) ON \(table)(\(columns[random.below(columns.count)]))"
            )
        case 86..<90: try connection.execute("DROP INDEX IF EXISTS ix_\(table)")
        case 90..<96:
            let last = try columns(table).last ?? "k"
            try connection.execute(
                """
                CREATE TABLE dyn_new(k INTEGER PRIMARY KEY, c1, extra DEFAULT 5);
                INSERT OR IGNORE INTO dyn_new(k, c1) SELECT k, \(last) FROM \(table);
                DROP TABLE \(table); ALTER TABLE dyn_new RENAME TO \(table)
                """
            )
        default: try connection.execute("ANALYZE")
        }
    }
}
