import QueryEngine
import RandomSupport
import SQLiteConnection

/// Random tables, rules and statements, for comparing a database under rules with one that holds only the permitted
/// rows.
///
/// A statement has one result whatever the order in which SQLite reads rows, so that the results can be compared: no LIMIT
/// without a total order, no aggregate of text in any order, no choice between equal values.
struct RowRuleGenerator {
    private var random: SeededGenerator

    init(_ random: SeededGenerator) { self.random = random }

    static let schema = """
        CREATE TABLE t1(id INTEGER PRIMARY KEY, owner TEXT, a INTEGER, b, tag TEXT COLLATE NOCASE);
        CREATE TABLE t2(k TEXT, n INTEGER, owner TEXT, a INTEGER, PRIMARY KEY(k, n)) WITHOUT ROWID;
        CREATE TABLE t3(owner TEXT, a INTEGER UNIQUE, g AS (a * 2), s TEXT);
        CREATE TABLE pub(id INTEGER PRIMARY KEY, a INTEGER, b);
        CREATE INDEX t1_a ON t1(a); CREATE INDEX t1_abs ON t1(abs(a)); CREATE INDEX t1_owner ON t1(owner, a);
        CREATE INDEX t2_a ON t2(a) WHERE a > 2; CREATE INDEX t3_s ON t3(s COLLATE NOCASE); CREATE INDEX pub_a ON pub(a);
        CREATE VIEW v_pub AS SELECT id, a FROM pub; CREATE VIEW v_t1 AS SELECT a, owner FROM t1;
        CREATE VIEW v_one AS SELECT 1 AS a FROM t1; CREATE VIEW v_count AS SELECT count(*) AS a FROM t2;
        CREATE VIEW v_join AS SELECT a FROM pub FULL JOIN t1 USING (a);
        """
    static let readable: TableNames = ["t1", "t2", "t3", "pub", "v_pub", "v_t1", "v_one", "v_count", "v_join"]
    private static let owners = ["'ada'", "'bob'", "'eve'", "'team'", "NULL"]
    private static let columns = [
        "t1": ["id", "owner", "a", "b", "tag"], "t2": ["k", "n", "owner", "a"], "t3": ["owner", "a", "g", "s"],
        "pub": ["id", "a", "b"], "v_pub": ["id", "a"], "v_t1": ["a", "owner"], "v_one": ["a"], "v_count": ["a"],
    ]

    // MARK: Data

    mutating func inserts() -> String {
        var sql = "BEGIN;"
        for id in 0..<random.int(0...25) {
            sql +=
                "INSERT INTO t1 VALUES (\(id), \(owner()), \(number()), \(value()), \(random.pick(["'Ada'", "'ADA'", "'x'", "NULL"])));"
        }
        for _ in 0..<random.int(0...20) {
            sql +=
                "INSERT OR IGNORE INTO t2 VALUES (\(random.pick(["'x'", "'y'"])), \(random.below(9)), \(owner()), \(number()));"
        }
        for _ in 0..<random.int(0...15) {
            sql += "INSERT OR IGNORE INTO t3 VALUES (\(owner()), \(random.below(30)), \(value()));"
        }
        for id in 0..<random.int(0...10) { sql += "INSERT INTO pub VALUES (\(id), \(number()), \(value()));" }
        return sql + "COMMIT;"
    }

    private mutating func owner() -> String { random.pick(Self.owners) }
    private mutating func number() -> String { random.chance(15) ? "NULL" : "\(random.int(-3...9))" }
    private mutating func value() -> String {
        random.pick(["NULL", "'x'", "'{\"a\":1}'", "'{'", "5", "7", "'5'", "'long text'", "''"])
    }

    /// Rules for some of the tables t1, t2 and t3, and the claims that they use.
    mutating func rules() -> SQLRowRules {
        let sub = SQLRowRules.claim("sub")
        let least = SQLRowRules.claim("least")
        let shared = [
            "owner = \(sub)", "owner IN (\(sub), 'team')", "a > \(least)", "(a IS NULL OR a < 5) AND owner <> \(sub)",
            "owner IS NULL",
            "0", "1", "\(least) = 2", "owner LIKE 'a%'", "abs(a) < \(least)", "a % 2 = 0 -- even",
            "owner = \(sub) OR a = \(least)",
            "NULL", "a BETWEEN 0 AND \(least)", "CASE owner WHEN \(sub) THEN a ELSE 0 END",
            "owner = \(sub) AND a IS NOT NULL",
        ]
        let own = [
            "t1": [
                "tag = \(sub)", "id % 2 = 0", "json_valid(b) AND b ->> '$.a' = 1", "rowid > \(least)",
                "[b] IS NOT NULL",
            ],
            "t2": ["k = 'x'", "(k, n) > ('x', \(least))"], "t3": ["g > 8", "s IS NOT NULL", "length(s) > 1"],
        ]
        var rules: [SQLRowRules.Rule] = []
        for table in ["t1", "t2", "t3"] where table == "t1" || random.chance(80) {
            rules.append(SQLRowRules.Rule(table: table, condition: random.pick(shared + (own[table] ?? []))))
        }
        return SQLRowRules(
            rules: rules,
            claims: [
                "sub": random.pick([.text("ada"), .text("bob"), .text("' OR 1 OR '"), .null]),
                "least": random.pick([.integer(2), .integer(0), .real(1.5), .text("2")]),
            ]
        )
    }

    // MARK: Statements

    mutating func statement() -> String {
        if random.chance(12) { return attack() }
        if random.chance(15) {
            return "WITH c AS (\(core())) SELECT count(*) FROM c" + (random.chance(30) ? ", t1" : "")
        }
        if random.chance(12) {
            return "\(core(width: 1)) \(random.pick(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])) \(core(width: 1))"
        }
        return core()
    }

    /// What would get around a rule. An error is expected, or what the permitted rows give.
    private mutating func attack() -> String {
        let table = random.pick(["t1", "t2", "t3"])
        let column = random.pick(["a", "owner"])
        return random.pick([
            "SELECT * FROM main.\(table)", "SELECT count(*) FROM main.\(table)", "SELECT 1 FROM main.\(table)",
            "WITH \(table) AS (SELECT * FROM main.\(table)) SELECT * FROM \(table)",
            "WITH \(table) AS (SELECT \(column) FROM temp.\(table)) SELECT count(\(column)) FROM \(table)",
            "SELECT * FROM (SELECT * FROM main.\(table)) AS \(table)",
            "SELECT (SELECT max(\(column)) FROM main.\(table))",
            "SELECT 1 FROM v_one", "SELECT count(*) FROM v_one", "SELECT a FROM v_count", "SELECT 1 FROM v_count",
            "SELECT a FROM v_t1",
            "SELECT count(*) FROM pub, v_one", "SELECT EXISTS (SELECT 1 FROM v_one)", "SELECT 1 FROM main.v_one",
            "SELECT \(column) FROM temp.\(table)", "SELECT count(*) FROM temp.\(table)", "SELECT rowid FROM \(table)",
            "SELECT count(*) FROM \(table) WHERE rowid > 2",
            "SELECT x.\(column) FROM \(table) AS x, main.\(table) AS y",
            "SELECT \(column) FROM \(table) INDEXED BY t1_a", "SELECT \(column) FROM \(table) NOT INDEXED",
            "SELECT tablecast_claim('sub')",
            "SELECT name FROM sqlite_temp_schema", "SELECT * FROM temp.sqlite_master", "PRAGMA table_list",
            "EXPLAIN SELECT * FROM \(table)", "SELECT 3 IN main.\(table)",
            "SELECT * FROM v_pub JOIN main.\(table) USING (a)",
            "SELECT count(*) FROM \(table) WHERE a IN (SELECT a FROM main.t1)",
            "WITH RECURSIVE r(a) AS (SELECT a FROM main.t1 UNION SELECT a + 1 FROM r WHERE a < 3) SELECT * FROM r",
            "SELECT count(*) FROM pub LEFT JOIN \(table) ON 1",
            "SELECT count(*) FROM \(table) NATURAL JOIN main.\(table)",
            // SQLite does not call the authorizer for these columns.
            "SELECT a FROM pub FULL JOIN main.\(table) USING (a)", "SELECT a FROM pub FULL JOIN \(table) USING (a)",
            "SELECT count(*) FROM pub JOIN main.t1 USING (id)", "SELECT a FROM v_join",
            "SELECT count(*) FROM pub JOIN v_join USING (a)", "SELECT count(*) FROM pub NATURAL JOIN \(table)",
        ])
    }

    private struct Source {
        var sql: String
        /// With the name of their table.
        var columns: [String]
    }

    private mutating func core(width: Int? = nil) -> String {
        let source = source()
        let condition = random.chance(70) ? " WHERE \(condition(source.columns))" : ""
        let count = width ?? random.int(1...3)
        if random.chance(25) {
            let groups = random.pick(source.columns)
            let results = (0..<max(1, count)).map { _ in aggregate(source.columns) }.joined(separator: ", ")
            let having = random.chance(30) ? " HAVING \(aggregate(source.columns)) > 1" : ""
            return random.chance(50) || isCollated(groups)
                ? "SELECT \(results) FROM \(source.sql)\(condition)"
                : "SELECT \(results) FROM \(source.sql)\(condition) GROUP BY \(groups)\(having)"
        }
        var results: [String] = []
        for _ in 0..<count {
            let result = expression(source.columns, depth: 2)
            // Of equal values that differ, any could come first.
            results.append("(\(result)) COLLATE BINARY")
        }
        let list = results.joined(separator: ", ")
        if width == nil, random.chance(15) {
            let order = (1...count).map(String.init).joined(separator: ", ")
            return "SELECT \(list) FROM \(source.sql)\(condition) ORDER BY \(order) LIMIT \(random.int(0...5))"
        }
        return "SELECT \(list) FROM \(source.sql)\(condition)"
    }

    /// Whether equal values can differ.
    private func isCollated(_ column: String) -> Bool { column.hasSuffix(".tag") }

    private mutating func source() -> Source {
        func one(_ alias: String) -> Source {
            let table = random.pick(["t1", "t1", "t2", "t3", "pub", "v_pub"])
            let columns = (Self.columns[table] ?? []).map { "\(alias).\($0)" }
            if random.chance(15) { return Source(sql: "(SELECT * FROM \(table)) AS \(alias)", columns: columns) }
            return Source(sql: "\(table) AS \(alias)", columns: columns)
        }
        let first = one("x")
        guard random.chance(35) else { return first }
        let second = one("y")
        let join = random.pick(["JOIN", "LEFT JOIN", "CROSS JOIN"])
        let both = first.columns + second.columns
        let on = random.chance(60) ? "x.a = y.a" : condition(both)
        return Source(sql: "\(first.sql) \(join) \(second.sql) ON \(on)", columns: both)
    }

    private mutating func aggregate(_ columns: [String]) -> String {
        let column = random.pick(columns.filter { !isCollated($0) })
        return random.pick([
            "count(*)", "count(\(column))", "max(\(column))", "min(\(column))", "count(DISTINCT \(column))",
            "sum(typeof(\(column)) = 'text')", "sum(CASE WHEN \(trap(columns)) THEN 1 END)",
        ])
    }

    private mutating func condition(_ columns: [String]) -> String {
        let left = expression(columns, depth: 1)
        switch random.below(9) {
        case 0: return "\(condition1(columns)) AND \(condition1(columns))"
        case 1: return "\(condition1(columns)) OR \(condition1(columns))"
        case 2: return "\(random.pick(columns)) IN (SELECT a FROM \(random.pick(["t1", "t2", "t3", "pub"])))"
        case 3:
            return
                "EXISTS (SELECT 1 FROM \(random.pick(["t1", "t2", "t3", "pub"])) AS e WHERE e.a = \(random.pick(columns)))"
        case 4: return "\(left) IS NOT NULL"
        case 5: return trap(columns)
        default: return condition1(columns)
        }
    }

    /// LIKE on an integer primary key itself loses the rows of a LEFT JOIN in SQLite 3.40.
    private mutating func condition1(_ columns: [String]) -> String {
        let column = random.pick(columns)
        return random.pick([
            "\(column) > \(random.int(-2...6))", "\(column) = 'ada'", "\(column) <> 'bob'", "\(column) IS NULL",
            "\(column) || '' LIKE 'a%'",
            "\(column) BETWEEN 0 AND 4", "abs(\(random.pick(columns.filter { $0.hasSuffix(".a") } + ["1"]))) = 3",
            "\(column) = 5",
        ])
    }

    /// Fails on some values: where it fails tells what they are.
    private mutating func trap(_ columns: [String]) -> String {
        let column = random.pick(columns)
        return random.pick([
            "abs(-9223372036854775807 - (\(column) > \(random.int(0...12)))) > 0", "json_extract(\(column), '$.a') = 1",
            "abs(-9223372036854775807 - (\(column) = 'eve')) > 0", "\(column) ->> '$.a' IS NULL",
        ])
    }

    private mutating func expression(_ columns: [String], depth: Int) -> String {
        let column = random.pick(columns)
        guard depth > 0 else { return column }
        switch random.below(10) {
        case 0: return "\(column) || '-'"
        case 1: return "typeof(\(column))"
        case 2: return "(SELECT count(*) FROM \(random.pick(["t1", "t2", "t3", "pub"])))"
        case 3: return "(SELECT max(a) FROM \(random.pick(["t1", "t2", "t3"])) AS e WHERE e.owner = 'ada')"
        case 4: return "coalesce(\(column), \(random.below(5)))"
        case 5: return random.chance(20) ? trap(columns) : "\(column) + 1"
        case 6: return "CASE WHEN \(condition1(columns)) THEN \(column) END"
        default: return column
        }
    }
}
