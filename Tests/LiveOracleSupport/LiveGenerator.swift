import RandomSupport
import SQLiteConnection

/// Random schemas, queries and transactions, determined by a seed.
package struct LiveGenerator {
    private struct Column {
        var name: String
        var type: String
    }

    private struct Table {
        var name: String
        /// What identifies a row, for statements.
        var key: [String]
        var columns: [Column]
        var definition: String
        var isOpenText: Bool { columns.contains { $0.type.contains("COLLATE") } }
    }

    private var random: SeededGenerator
    private var tables: [Table] = []
    private var ledger = 0
    private var addedColumns = 0

    package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    // MARK: Schema

    private static let types = [
        "", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "INT",
    ]

    package mutating func setUp() -> [String] {
        let ids = [
            "id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT",
            "id INT PRIMARY KEY NOT NULL",
        ]
        func table(
            _ name: String,
            _ id: String,
            _ columns: [Column],
            _ key: [String],
            _ extra: String = "",
            _ end: String = ""
        ) -> Table {
            let list = columns.map { "\($0.name) \($0.type)" }
            let parts = (id.isEmpty ? [] : [id]) + list + (extra.isEmpty ? [] : [extra])
            return Table(
                name: name,
                key: key,
                columns: columns,
                definition: "CREATE TABLE \(name)(\(parts.joined(separator: ", ")))\(end)"
            )
        }
        tables = [
            table("a", random.pick(ids), [column("x"), column("y"), column("n")], ["id"]),
            table(
                "b",
                random.pick(ids),
                [Column(name: "aid", type: random.pick(["", "INT"])), column("z"), column("v")],
                ["id"],
                random.chance(30) ? "g AS (coalesce(z, 0) || 'g') \(random.pick(["VIRTUAL", "STORED"]))" : ""
            ),
            table(
                "c",
                random.pick(ids),
                [Column(name: "bid", type: random.pick(["", "INT"])), Column(name: "aid", type: "INT"), column("w")],
                ["id"]
            ),
            table(
                "d",
                "",
                [
                    Column(name: "k1", type: random.pick(["TEXT", "", "TEXT COLLATE NOCASE"])),
                    Column(name: "k2", type: "INT"),
                    column("e"),
                ],
                ["k1", "k2"],
                "PRIMARY KEY(k1, k2)",
                " WITHOUT ROWID"
            ),
            table(
                "\"order\"",
                "",
                [Column(name: "aid", type: "INT"), Column(name: random.pick(["t", "rowid"]), type: "TEXT")],
                ["aid"]
            ),
        ]
        var sql = tables.map(\.definition)
        sql.append("CREATE TABLE ledger(n INTEGER PRIMARY KEY)")
        if random.chance(70) { sql.append("CREATE INDEX b_aid ON b(aid)") }
        if random.chance(50) { sql.append("CREATE INDEX c_bid ON c(bid)") }
        if random.chance(50) { sql.append("CREATE INDEX a_x ON a(x)") }
        sql.append("CREATE VIEW va AS SELECT a.id, a.x, b.z FROM a LEFT JOIN b ON b.aid = a.id")
        // One of the middle tables is often empty.
        let isBEmpty = random.chance(25)
        for _ in 0..<random.int(0...60) {
            let statement = insert(random.pick(tables))
            if isBEmpty, statement.contains("INTO b(") { continue }
            sql.append(statement)
        }
        return sql
    }

    private mutating func column(_ name: String) -> Column { Column(name: name, type: random.pick(Self.types)) }

    // MARK: Values

    private static let values = [
        "NULL", "NULL", "0", "1", "2", "1.0", "2.5", "-1", "'1'", "'a'", "'A'", "'b'", "'a '", "''", "x'61'", "x''",
        "9007199254740993", "9007199254740992.0", "-0.0", "'ä'", "'e\u{301}'", "'\u{e9}'", "1e300", "3", "4", "5",
    ]

    private mutating func value(_ column: Column) -> String {
        if column.name == "aid" || column.name == "bid" { return random.chance(15) ? "NULL" : "\(random.int(1...12))" }
        if column.name == "k2" { return "\(random.int(1...3))" }
        if column.name == "k1" { return random.pick(["'a'", "'A'", "'b'", "''", "1", "1.0", "'1'", "x'61'"]) }
        if random.chance(3) { return "'\(String(repeating: "long", count: random.int(100...1_500)))'" }
        return random.pick(Self.values)
    }

    // MARK: Transactions

    package mutating func transaction() -> [String] {
        ledger += 1
        var statements = ["INSERT INTO ledger VALUES(\(ledger))"]
        if random.chance(3), let ddl = schemaStatement() {
            if ddl == "VACUUM" { return [ddl] }
            statements.append(contentsOf: ddl.split(separator: ";").map(String.init))
            if random.chance(50) { return statements }
        }
        for _ in 0..<random.int(0...random.pick([1, 1, 2, 6, 6])) { statements.append(change()) }
        return statements
    }

    private mutating func change() -> String {
        let table = random.pick(tables)
        switch random.below(100) {
        case 0..<40: return insert(table)
        case 40..<55: return "DELETE FROM \(table.name) WHERE \(keyCondition(table))"
        case 55..<58: return "DELETE FROM \(table.name)"
        case 58..<63: return "DELETE FROM \(table.name) WHERE \(table.key[0]) > \(random.int(1...30))"
        case 63..<68:
            guard table.key == ["id"] else { return insert(table) }
            return "UPDATE OR REPLACE \(table.name) SET id = \(random.int(1...30)) WHERE \(keyCondition(table))"
        case 68..<73:
            let column = random.pick(table.columns)
            return "UPDATE OR IGNORE \(table.name) SET \(column.name) = \(column.name) WHERE \(keyCondition(table))"
        case 73..<78:
            let column = random.pick(table.columns)
            return "UPDATE OR IGNORE \(table.name) SET \(column.name) = \(value(column))"
        case 78..<82:
            // Two values are swapped.
            guard table.name == "a" else { return insert(table) }
            return
                "UPDATE a SET x = CASE id WHEN 1 THEN (SELECT x FROM a WHERE id = 2) ELSE (SELECT x FROM a WHERE id = 1) END WHERE id IN (1, 2)"
        default:
            let column = random.pick(table.columns)
            return "UPDATE OR IGNORE \(table.name) SET \(column.name) = \(value(column)) WHERE \(keyCondition(table))"
        }
    }

    private mutating func keyCondition(_ table: Table) -> String {
        if table.key == ["id"] { return "id \(random.pick(["=", "=", "=", "<"])) \(random.int(1...30))" }
        return table.key.map { name in
            let column = table.columns.first { $0.name == name } ?? Column(name: name, type: "")
            return "\(name) = \(value(column))"
        }.joined(separator: " AND ")
    }

    private mutating func insert(_ table: Table) -> String {
        var names = table.columns.map(\.name)
        var list = table.columns.map { value($0) }
        if table.key == ["id"] {
            names.insert("id", at: 0)
            list.insert("\(random.int(1...30))", at: 0)
        }
        return
            "INSERT OR \(random.pick(["REPLACE", "IGNORE"])) INTO \(table.name)(\(names.joined(separator: ", "))) VALUES(\(list.joined(separator: ", ")))"
    }

    private mutating func schemaStatement() -> String? {
        addedColumns += 1
        let table = random.pick(tables)
        switch random.below(9) {
        case 0:
            return
                "ALTER TABLE \(table.name) ADD COLUMN added\(addedColumns) DEFAULT \(random.pick(["7", "'q'", "NULL"]))"
        case 1: return "CREATE INDEX i\(addedColumns) ON \(table.name)(\(random.pick(table.columns).name))"
        case 2: return "DROP INDEX IF EXISTS b_aid"
        case 3: return "VACUUM"
        case 4: return "CREATE TABLE other\(addedColumns)(q)"
        case 5: return "DROP TABLE \(table.name);\(table.definition)"
        case 6: return "ANALYZE"
        case 7:
            return "ALTER TABLE \(table.name) RENAME TO swapped;ALTER TABLE swapped RENAME TO \(table.name)"
        default:
            return
                "DROP VIEW va;CREATE VIEW va AS SELECT a.id, a.\(random.pick(["x", "y"])) AS x, b.z FROM a JOIN b ON b.aid = a.id"
        }
    }

    // MARK: Queries

    package mutating func query() -> OracleQuery { query(random.pick(OracleQuery.Kind.allCases)) }

    package mutating func query(_ kind: OracleQuery.Kind) -> OracleQuery {
        switch kind {
        case .filter: return filter()
        case .join: return join(isLeft: false)
        case .leftJoin: return join(isLeft: true)
        case .selfJoin: return selfJoin()
        case .group: return group()
        case .distinct: return distinct()
        case .aggregate:
            let source = from(isLeft: random.chance(30))
            let column = random.pick(source.columns)
            if random.chance(50) {
                let list = (0..<random.int(1...3)).map { _ in runningAggregate(source) }
                return OracleQuery(
                    kind: kind,
                    sql: "SELECT \(list.joined(separator: ", ")) FROM \(source.sql)\(condition(source))",
                    mustBeIncremental: true
                )
            }
            return OracleQuery(
                kind: kind,
                sql:
                    "SELECT count(*), count(\(column)), min(\(column)), max(\(column)) FROM \(source.sql)\(condition(source))",
                mustBeIncremental: false,
                isOpen: true
            )
        case .ordered:
            let source = from(isLeft: random.chance(20))
            let list = columns(source, expressions: false)
            let order = list.indices.map { "\($0 + 1)\(random.chance(30) ? " DESC" : "")" } + source.keys
            let all = list + source.keys
            return OracleQuery(
                kind: kind,
                sql:
                    "SELECT \(all.joined(separator: ", ")) FROM \(source.sql)\(condition(source)) ORDER BY \(order.joined(separator: ", "))"
                    + (random.chance(60) ? " LIMIT \(random.int(1...6))" : ""),
                mustBeIncremental: false,
                isOrdered: true
            )
        case .subquery:
            let inner = random.pick([
                "a.id IN (SELECT aid FROM b)", "EXISTS (SELECT 1 FROM b WHERE b.aid = a.id)",
                "a.x = (SELECT max(x) FROM a)", "a.id NOT IN (SELECT bid FROM c WHERE bid IS NOT NULL)",
            ])
            return OracleQuery(kind: kind, sql: "SELECT a.id, a.x FROM a WHERE \(inner)", mustBeIncremental: false)
        case .compound:
            let sql = random.pick([
                "SELECT id, x FROM a UNION ALL SELECT id, x FROM a", "SELECT id FROM a EXCEPT SELECT aid FROM b",
                "WITH t AS (SELECT aid, count(*) AS n FROM b GROUP BY aid) SELECT * FROM t WHERE n > 1",
                "WITH RECURSIVE r(i) AS (SELECT min(id) FROM a UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT i FROM r",
                "SELECT id FROM a INTERSECT SELECT bid FROM c",
            ])
            return OracleQuery(kind: kind, sql: sql, mustBeIncremental: false, isOpen: true)
        case .window:
            return OracleQuery(
                kind: kind,
                sql:
                    "SELECT id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS n FROM a\(random.chance(50) ? " WHERE id < 15" : "")",
                mustBeIncremental: false
            )
        case .view:
            return OracleQuery(
                kind: kind,
                sql: random.pick([
                    "SELECT * FROM va", "SELECT id, z FROM va WHERE z IS NOT NULL", "SELECT count(*) FROM va",
                ]),
                mustBeIncremental: false
            )
        case .parameters: return parameters()
        }
    }

    private mutating func parameters() -> OracleQuery {
        let sql = random.pick([
            "SELECT id, x, y FROM a WHERE x >= ?1 AND id < ?2",
            "SELECT a.id, b.id, ?1 AS p FROM a JOIN b ON b.aid = a.id AND b.id < ?2",
            // Finding the rows on its left side takes neither, or the first alone.
            "SELECT a.id, b.z FROM a LEFT JOIN b ON b.aid = a.id AND b.z > ?1 WHERE a.id <> ?2",
            "SELECT a.id, b.z FROM a LEFT JOIN b ON b.aid = a.id WHERE a.id <> ?1 AND a.x > ?2",
            "SELECT aid, count(*) FILTER (WHERE z = ?1) AS n FROM b WHERE id < ?2 GROUP BY aid",
        ])
        var query = OracleQuery(kind: .parameters, sql: sql, mustBeIncremental: true, isOpen: sql.contains("GROUP"))
        query.parameters = [
            random.pick([.integer(0), .real(2.5), .text("a"), .null]), .integer(Int64(random.int(1...20))),
        ]
        return query
    }

    /// A FROM clause, the columns that it offers, and the columns that identify its rows.
    private struct Source {
        var sql: String
        var columns: [String]
        var keys: [String]
        /// Only the columns of the first table.
        var first: [String]
    }

    private mutating func from(isLeft: Bool) -> Source {
        let left = isLeft ? "LEFT JOIN" : random.pick(["JOIN", "JOIN", "INNER JOIN", "CROSS JOIN"])
        let other = random.chance(50) ? left : random.pick(["JOIN", "LEFT JOIN"])
        func columns(_ name: String, _ table: Int) -> [String] { tables[table].columns.map { "\(name).\($0.name)" } }
        let (a, b, c) = (["a.id"] + columns("a", 0), ["b.id"] + columns("b", 1), ["c.id"] + columns("c", 2))
        switch random.below(isLeft ? 7 : 9) {
        case 0, 1: return Source(sql: "a \(left) b ON b.aid = a.id", columns: a + b, keys: ["a.id", "b.id"], first: a)
        case 2:
            return Source(
                sql: "a \(left) b ON b.aid = a.id \(other) c ON c.bid = b.id",
                columns: a + b + c,
                keys: ["a.id", "b.id", "c.id"],
                first: a
            )
        case 3:
            return Source(
                sql: "a \(left) b ON b.aid = a.id \(other) c ON c.aid = a.id",
                columns: a + b + c,
                keys: ["a.id", "b.id", "c.id"],
                first: a
            )
        case 4:
            let d = columns("d", 3)
            return Source(
                sql: "d \(left) a ON a.id = d.k2 AND a.x IS NOT NULL",
                columns: d + a,
                keys: ["d.k1", "d.k2", "a.id"],
                first: d
            )
        case 5:
            let (q, o) = (["q.id"] + columns("q", 1), columns("o", 4))
            return Source(
                sql: "b AS q \(left) \"order\" o ON o.aid = q.aid",
                columns: q + o,
                keys: ["q.id", "o._rowid_"],
                first: q
            )
        case 6:
            return Source(
                sql: "b \(left) a ON a.id = b.aid \(other) c ON c.aid = a.id AND c.w = b.z",
                columns: a + b + c,
                keys: ["a.id", "b.id", "c.id"],
                first: b
            )
        case 7:
            return Source(
                sql: "a, b, main.c WHERE b.aid = a.id AND c.bid = b.id",
                columns: a + b,
                keys: ["a.id", "b.id", "c.id"],
                first: a
            )
        default:
            return Source(
                sql: "b \(random.pick(["JOIN", "LEFT JOIN"])) c USING (aid)",
                columns: b + c,
                keys: ["b.id", "c.id"],
                first: b
            )
        }
    }

    private mutating func predicate(_ column: String) -> String {
        random.pick([
            "\(column) = 1", "\(column) > 0", "\(column) IS NULL", "\(column) IS NOT NULL", "\(column) = 'a'",
            "\(column) LIKE 'A%'", "typeof(\(column)) = 'integer'", "\(column) IN (1, '1', 2.5, 'b')",
            "coalesce(\(column), 0) >= 1",
            "NOT \(column)", "\(column) BETWEEN 0 AND 3", "\(column) IS NOT DISTINCT FROM 1",
            "\(column) <> 'b' -- why not\n",
            "length(\(column)) < 3 /* short */", "CASE WHEN \(column) > 1 THEN 1 ELSE 0 END",
        ])
    }

    private mutating func condition(_ source: Source) -> String {
        var parts: [String] = []
        for _ in 0..<random.pick([0, 0, 1, 1, 2]) {
            parts.append(predicate(random.pick(random.chance(60) ? source.first : source.columns)))
        }
        if parts.isEmpty { return "" }
        return (source.sql.contains(" WHERE ") ? " AND (" : " WHERE ")
            + parts.joined(separator: random.pick([" AND ", " OR ", " AND "]))
            + (source.sql.contains(" WHERE ") ? ")" : "")
    }

    private mutating func columns(_ source: Source, expressions: Bool = true) -> [String] {
        (0..<random.int(1...4)).map { _ in
            let column = random.pick(source.columns)
            guard expressions, random.chance(30) else { return column }
            return random.pick([
                "upper(\(column)) AS u", "\(column) || 'x'", "typeof(\(column)) kind", "coalesce(\(column), -1)",
                "'from'", "hex(\(column))",
            ])
        }
    }

    private mutating func filter() -> OracleQuery {
        let table = random.pick(tables)
        let alias = random.pick(["", "", " AS q", " q"])
        let name = alias.isEmpty ? table.name : "q"
        let names = (table.key == ["id"] ? ["id"] : []) + table.columns.map(\.name)
        let source = Source(
            sql: "\(random.pick(["", "main."]))\(table.name)\(alias)",
            columns: names.map { "\(name).\($0)" },
            keys: [],
            first: names.map { "\(name).\($0)" }
        )
        let list = random.chance(30) ? ["*"] : random.chance(20) ? ["\(name).*", "1"] : columns(source)
        return OracleQuery(
            kind: .filter,
            sql:
                "SELECT \(list.joined(separator: ", ")) FROM \(source.sql)\(condition(source))\(random.pick(["", "", ";", " -- end"]))",
            mustBeIncremental: true
        )
    }

    private mutating func join(isLeft: Bool) -> OracleQuery {
        let source = from(isLeft: isLeft)
        let list = random.chance(10) ? ["*"] : columns(source) + (random.chance(30) ? source.keys : [])
        return OracleQuery(
            kind: isLeft ? .leftJoin : .join,
            sql: "SELECT \(list.joined(separator: ", ")) FROM \(source.sql)\(condition(source))",
            mustBeIncremental: true
        )
    }

    private mutating func selfJoin() -> OracleQuery {
        OracleQuery(
            kind: .selfJoin,
            sql: random.pick([
                "SELECT p.id, q.id, p.x FROM a AS p JOIN a AS q ON q.x = p.x AND q.id < p.id",
                "SELECT p.id, q.id FROM b p LEFT JOIN b q ON q.aid = p.aid AND q.id <> p.id",
                "SELECT a.id, p.z, q.z FROM a LEFT JOIN b p ON p.aid = a.id LEFT JOIN b q ON q.aid = a.id AND q.id > 5",
                "SELECT p.k1, q.k2 FROM d p, d q WHERE p.k2 = q.k2",
            ]),
            mustBeIncremental: true
        )
    }

    /// An aggregate that follows from the changed rows alone.
    private mutating func runningAggregate(_ source: Source) -> String {
        let column = random.pick(source.columns)
        return random.pick([
            "count(*)", "count(\(column))", "count(nullif(\(column), 1))", "sum(length(\(column)))",
            "sum(CASE typeof(\(column)) WHEN 'integer' THEN \(column) % 1000003 END)", "sum(\(column) IS NULL)",
            "SUM ( ALL hex(\(column)) = '61' )",
        ])
    }

    private mutating func group() -> OracleQuery {
        let source = from(isLeft: random.chance(40))
        if random.chance(30) {
            let key = random.pick(source.columns)
            // Without the key in the result each value is determined.
            let isShown = random.chance(50)
            let list = (isShown ? [key] : []) + [runningAggregate(source), runningAggregate(source)]
            return OracleQuery(
                kind: .group,
                sql:
                    "SELECT \(list.joined(separator: ", ")) FROM \(source.sql)\(condition(source)) GROUP BY \(key)",
                mustBeIncremental: true,
                isOpen: isShown
            )
        }
        let count = random.int(1...2)
        let keys = (0..<count).map { _ in
            let column = random.pick(source.columns)
            return random.chance(25)
                ? random.pick(["typeof(\(column))", "upper(\(column))", "\(column) > 1", "\(column) COLLATE NOCASE"])
                : column
        }
        let column = random.pick(source.columns)
        let style = random.below(4)
        let aggregates = random.pick([
            "count(*)", "count(\(column)), min(\(column)), max(\(column))", "count(DISTINCT \(column))",
            "sum(length(\(column)))",
            "count(*) FILTER (WHERE \(column) > 0), total(typeof(\(column)) = 'text')",
        ])
        let shown: [String]
        let by: [String]
        switch style {
        case 0:
            shown = keys.enumerated().map { "\($1) AS key\($0)" }
            by = keys.indices.map { "key\($0)" }
        case 1:
            shown = keys
            by = keys.indices.map { "\($0 + 1)" }
        case 2:
            shown = []
            by = keys
        default:
            shown = keys
            by = keys
        }
        let having = random.chance(25) ? " HAVING count(*) > \(random.int(0...2))" : ""
        return OracleQuery(
            kind: .group,
            sql:
                "SELECT \((shown + [aggregates]).joined(separator: ", ")) FROM \(source.sql)\(condition(source)) GROUP BY \(by.joined(separator: ", "))\(having)",
            mustBeIncremental: true,
            isOpen: true
        )
    }

    private mutating func distinct() -> OracleQuery {
        if random.chance(15) {
            return OracleQuery(
                kind: .distinct,
                sql: "SELECT DISTINCT * FROM \"order\"",
                mustBeIncremental: true,
                isOpen: true
            )
        }
        let source = from(isLeft: random.chance(40))
        return OracleQuery(
            kind: .distinct,
            sql: "SELECT DISTINCT \(columns(source).joined(separator: ", ")) FROM \(source.sql)\(condition(source))",
            mustBeIncremental: true,
            isOpen: true
        )
    }
}
