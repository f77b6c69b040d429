"""Random schemas, queries and transactions for live queries; and a process that makes the transactions and knows the truth.

    live_world.py DATABASE SEED NAME

As a process: reads the queries from the first line of standard input and a number of transactions from each further one, makes
them, and writes one line for each before its COMMIT: the ledger's number and the result of every query as of this commit (null
where it fails). Answers each number with `{"done": …}`. The end of input ends it.
"""

import base64
import functools
import json
import random
import sqlite3
import sys

VALUES = [
    None, None, 0, 1, 2, 1.0, 2.5, -1, "1", "a", "A", "b", "a ", "", b"a", b"", 2**53 + 1, float(2**53), -0.0, "ä", "e\u0301",
    "\u00e9", 1e300, 3, 4, 5,
]  # fmt: skip
TYPES = ["", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "INT"]
LARGEST_EXACT = 2**53 - 1


# MARK: Rows as text


def wire(value):
    """A value as the service writes it."""
    if isinstance(value, int) and abs(value) > LARGEST_EXACT:
        return {"$int64": str(value)}
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    return value


def fold(value):
    """The same text for all values that SQL may show for each other in a group: equal numbers, and what a collation makes equal."""
    if isinstance(value, float) and value.is_integer():
        return wire(int(value))
    return value.lower().rstrip(" ") if isinstance(value, str) else value


def text(row):
    return json.dumps(row)


@functools.lru_cache(1 << 16)
def folded(row):
    return text({name: fold(value) for name, value in json.loads(row).items()})


def canonical(rows, query):
    """A result to compare: texts of rows, in their order where the query has one."""
    if query["open"]:
        rows = [folded(row) for row in rows]
    return list(rows) if query["ordered"] else sorted(rows)


def result(connection, query):
    """The query's result by SQLite itself; None where it fails."""
    try:
        cursor = connection.execute(query["sql"], query["params"])
        names, taken = [], set()
        for column in cursor.description:
            name, number = column[0], 1
            while name in taken:
                name, number = f"{column[0]}:{number}", number + 1
            taken.add(name)
            names.append(name)
        return canonical([text(dict(zip(names, map(wire, row)))) for row in cursor], query)
    except sqlite3.Error:
        return None


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


# MARK: The world


class World:
    """Determined by a seed: the same in every process."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        pick = self.random.choice
        ids = ["id INTEGER PRIMARY KEY"] * 2 + ["id INTEGER PRIMARY KEY AUTOINCREMENT", "id INT PRIMARY KEY NOT NULL"]
        generated = f", g AS (coalesce(z, 0) || 'g') {pick(['VIRTUAL', 'STORED'])}" if pick([0, 0, 1]) else ""
        self.columns = {
            "a": {"x": pick(TYPES), "y": pick(TYPES), "n": pick(TYPES)},
            "b": {"aid": pick(["", "INT"]), "z": pick(TYPES), "v": pick(TYPES)},
            "c": {"bid": pick(["", "INT"]), "aid": "INT", "w": pick(TYPES)},
            "d": {"k1": pick(["TEXT", "", "TEXT COLLATE NOCASE"]), "k2": "INT", "e": pick(TYPES)},
            '"order"': {"aid": "INT", pick(["t", "rowid"]): "TEXT"},
        }

        def table(name, first="", last="", end=""):
            list = [f"{column} {type}" for column, type in self.columns[name].items()]
            return f"CREATE TABLE {name}({', '.join([first] * bool(first) + list)}{last}){end}"

        self.definitions = {
            "a": table("a", pick(ids)),
            "b": table("b", pick(ids), generated),
            "c": table("c", pick(ids)),
            "d": table("d", last=", PRIMARY KEY(k1, k2)", end=" WITHOUT ROWID"),
            '"order"': table('"order"'),
        }
        self.keys = {"a": ["id"], "b": ["id"], "c": ["id"], "d": ["k1", "k2"], '"order"': ["aid"]}
        self.added = 0
        indexes = ["CREATE INDEX b_aid ON b(aid)", "CREATE INDEX c_bid ON c(bid)", "CREATE INDEX a_x ON a(x)"]
        self.set_up = [
            *self.definitions.values(),
            "CREATE TABLE ledger(n INTEGER PRIMARY KEY, writer)",
            *[index for index in indexes if pick([0, 1, 1])],
            "CREATE VIEW va AS SELECT a.id, a.x, b.z FROM a LEFT JOIN b ON b.aid = a.id",
            *[self.insert(pick(list(self.keys))) for _ in range(self.random.randint(0, 60))],
        ]

    # Transactions

    def value(self, column):
        if column in ("aid", "bid"):
            return self.random.choice(["NULL"] + [str(self.random.randint(1, 12))] * 6)
        if column == "k2":
            return str(self.random.randint(1, 3))
        if column == "k1":
            return literal(self.random.choice(["a", "A", "b", "", 1, 1.0, "1", b"a"]))
        if self.random.random() < 0.03:
            return literal("long" * self.random.randint(100, 1500))
        return literal(self.random.choice(VALUES))

    def insert(self, table):
        row = {column: self.value(column) for column in self.columns[table]}
        if self.keys[table] == ["id"]:
            row["id"] = str(self.random.randint(1, 30))
        conflict = self.random.choice(["REPLACE", "IGNORE"])
        return f"INSERT OR {conflict} INTO {table}({', '.join(row)}) VALUES({', '.join(row.values())})"

    def condition(self, table):
        if self.keys[table] == ["id"]:
            return f"id {self.random.choice('===<')} {self.random.randint(1, 30)}"
        return " AND ".join(f"{column} = {self.value(column)}" for column in self.keys[table])

    def change(self):
        table = self.random.choice(list(self.keys))
        column = self.random.choice(list(self.columns[table]))
        kind = self.random.random()
        if kind < 0.15:
            return f"DELETE FROM {table} WHERE {self.condition(table)}"
        if kind < 0.17:
            return f"DELETE FROM {table}"
        if kind < 0.22:
            return f"DELETE FROM {table} WHERE {self.keys[table][0]} > {self.random.randint(1, 30)}"
        if kind < 0.27 and self.keys[table] == ["id"]:
            return f"UPDATE OR REPLACE {table} SET id = {self.random.randint(1, 30)} WHERE {self.condition(table)}"
        if kind < 0.32:
            return f"UPDATE OR IGNORE {table} SET {column} = {column} WHERE {self.condition(table)}"
        if kind < 0.36:
            return f"UPDATE OR IGNORE {table} SET {column} = {self.value(column)}"
        if kind < 0.40:
            other = "(SELECT x FROM a WHERE id = CASE a.id WHEN 1 THEN 2 ELSE 1 END)"
            return f"UPDATE a SET x = {other} WHERE id IN (1, 2)"
        if kind < 0.55:
            return f"UPDATE OR IGNORE {table} SET {column} = {self.value(column)} WHERE {self.condition(table)}"
        return self.insert(table)

    def schema_change(self):
        table = self.random.choice(list(self.keys))
        self.added += 1
        name = f"added{self.added}_{self.random.randint(0, 1 << 30)}"
        column = self.random.choice(list(self.columns[table]))
        return self.random.choice(
            [
                [f"ALTER TABLE {table} ADD COLUMN {name} DEFAULT {self.random.choice(['7', chr(39) + 'q' + chr(39), 'NULL'])}"],
                [f"CREATE INDEX {name} ON {table}({column})"],
                ["DROP INDEX IF EXISTS b_aid"],
                [f"CREATE TABLE {name}(q)"],
                [f"DROP TABLE {table}", self.definitions[table]],
                ["ANALYZE"],
                [f"ALTER TABLE {table} RENAME TO swapped", f"ALTER TABLE swapped RENAME TO {table}"],
                [
                    "DROP VIEW IF EXISTS va",
                    f"CREATE VIEW va AS SELECT a.id, a.{self.random.choice('xy')} AS x, b.z FROM a JOIN b ON b.aid = a.id",
                ],
            ]
        )

    def transaction(self):
        statements = []
        if self.random.random() < 0.03:
            statements = self.schema_change()
            if self.random.random() < 0.5:
                return statements
        return statements + [self.change() for _ in range(self.random.randint(0, self.random.choice([1, 1, 2, 6, 6])))]

    # Queries

    def source(self, left):
        """A FROM clause, its columns, what identifies its rows, and the columns of its first table."""
        pick = self.random.choice
        join = "LEFT JOIN" if left else pick(["JOIN", "JOIN", "INNER JOIN", "CROSS JOIN"])
        other = pick([join, join, "JOIN", "LEFT JOIN"])

        def columns(alias, table=None):
            table = table or alias
            return [f"{alias}.id"] * (self.keys[table] == ["id"]) + [f"{alias}.{c}" for c in self.columns[table]]

        a, b, c, d = (columns(name) for name in "abcd")
        sources = [
            (f"a {join} b ON b.aid = a.id", a + b, ["a.id", "b.id"], a),
            (f"a {join} b ON b.aid = a.id {other} c ON c.bid = b.id", a + b + c, ["a.id", "b.id", "c.id"], a),
            (f"a {join} b ON b.aid = a.id {other} c ON c.aid = a.id", a + b + c, ["a.id", "b.id", "c.id"], a),
            (f"d {join} a ON a.id = d.k2 AND a.x IS NOT NULL", d + a, ["d.k1", "d.k2", "a.id"], d),
            (
                f'b AS q {join} "order" o ON o.aid = q.aid', columns("q", "b") + columns("o", '"order"'), ["q.id", "o._rowid_"],
                columns("q", "b"),
            ),
            (f"b {join} a ON a.id = b.aid {other} c ON c.aid = a.id AND c.w = b.z", a + b + c, ["a.id", "b.id", "c.id"], b),
        ]  # fmt: skip
        if not left:
            sources += [
                ("a, b, main.c WHERE b.aid = a.id AND c.bid = b.id", a + b, ["a.id", "b.id", "c.id"], a),
                (f"b {pick(['JOIN', 'LEFT JOIN'])} c USING (aid)", b + c, ["b.id", "c.id"], b),
            ]
        return pick(sources)

    def predicate(self, column):
        return self.random.choice(
            [
                f"{column} = 1", f"{column} > 0", f"{column} IS NULL", f"{column} IS NOT NULL", f"{column} = 'a'",
                f"{column} LIKE 'A%'", f"typeof({column}) = 'integer'", f"{column} IN (1, '1', 2.5, 'b')",
                f"coalesce({column}, 0) >= 1", f"NOT {column}", f"{column} BETWEEN 0 AND 3", f"{column} <> 'b' -- why not\n",
                f"{column} IS NOT DISTINCT FROM 1", f"length({column}) < 3 /* short */", f"CASE WHEN {column} > 1 THEN 1 ELSE 0 END",
            ]
        )  # fmt: skip

    def where(self, source):
        sql, columns, _, first = source
        parts = [
            self.predicate(self.random.choice(first if self.random.random() < 0.6 else columns))
            for _ in range(self.random.choice([0, 0, 1, 1, 2]))
        ]
        if not parts:
            return ""
        joined = self.random.choice([" AND ", " OR ", " AND "]).join(parts)
        return f" AND ({joined}\n)" if " WHERE " in sql else f" WHERE {joined}"

    def some(self, columns, expressions=True):
        def one():
            column = self.random.choice(columns)
            if not expressions or self.random.random() < 0.7:
                return column
            return self.random.choice(
                [f"upper({column}) AS u", f"{column} || 'x'", f"typeof({column}) kind", f"coalesce({column}, -1)", "'from'", f"hex({column})"]
            )

        return [one() for _ in range(self.random.randint(1, 4))]

    def query(self, kind):
        made = {"kind": kind, "params": [], "incremental": False, "open": False, "ordered": False}
        made |= getattr(self, kind)()
        return made

    def filter(self):
        table = self.random.choice(list(self.keys))
        alias = self.random.choice(["", " AS q", " q"])
        name = "q" if alias else table
        columns = [f"{name}.{c}" for c in ["id"] * (self.keys[table] == ["id"]) + list(self.columns[table])]
        source = (f"{self.random.choice(['', 'main.'])}{table}{alias}", columns, [], columns)
        list_ = self.random.choice([["*"], [f"{name}.*", "1"], self.some(columns), self.some(columns)])
        sql = f"SELECT {', '.join(list_)} FROM {source[0]}{self.where(source)}{self.random.choice(['', ';', ' -- end'])}"
        return {"sql": sql, "incremental": True}

    def parameters(self):
        made = [self.random.choice([0, 1, 2.5, "a", "b", ""]), self.random.randint(1, 20)]
        sql = self.random.choice(
            [
                "SELECT id, x, y FROM a WHERE x >= ?1 AND id < ?2",
                "SELECT a.id, b.id, ?1 AS p FROM a JOIN b ON b.aid = a.id AND b.id < ?2",
                "SELECT a.id, b.z FROM a LEFT JOIN b ON b.aid = a.id AND b.z > ?1 WHERE a.id <> ?2",
                "SELECT a.id, b.z FROM a LEFT JOIN b ON b.aid = a.id WHERE a.id <> ?1 AND a.x > ?2",
                "SELECT aid, count(*) FILTER (WHERE z = ?1) FROM b WHERE id < ?2 GROUP BY aid",
            ]
        )
        return {"sql": sql, "params": made, "incremental": True, "open": "GROUP" in sql}

    def join(self, left=False):
        source = self.source(left)
        list = ["*"] if self.random.random() < 0.1 else self.some(source[1]) + self.random.choice([[], [], source[2]])
        return {"sql": f"SELECT {', '.join(list)} FROM {source[0]}{self.where(source)}", "incremental": True}

    def left_join(self):
        return self.join(left=True)

    def self_join(self):
        return {
            "sql": self.random.choice(
                [
                    "SELECT p.id, q.id, p.x FROM a AS p JOIN a AS q ON q.x = p.x AND q.id < p.id",
                    "SELECT p.id, q.id FROM b p LEFT JOIN b q ON q.aid = p.aid AND q.id <> p.id",
                    "SELECT a.id, p.z, q.z FROM a LEFT JOIN b p ON p.aid = a.id LEFT JOIN b q ON q.aid = a.id AND q.id > 5",
                    "SELECT p.k1, q.k2 FROM d p, d q WHERE p.k2 = q.k2",
                ]
            ),
            "incremental": True,
        }

    def group(self):
        source = self.source(self.random.random() < 0.4)

        def key():
            column = self.random.choice(source[1])
            return self.random.choice(
                [column] * 9 + [f"typeof({column})", f"upper({column})", f"{column} > 1", f"{column} COLLATE NOCASE"]
            )

        keys = [key() for _ in range(self.random.randint(1, 2))]
        column = self.random.choice(source[1])
        aggregates = self.random.choice(
            [
                "count(*)", f"count({column}), sum({column} IS NULL)", f"count({column}), min({column}), max({column})", f"count(DISTINCT {column})", f"sum(length({column}))",
                f"count(*) FILTER (WHERE {column} > 0), total(typeof({column}) = 'text')",
            ]
        )  # fmt: skip
        shown, by = self.random.choice(
            [
                ([f"{key} AS key{number}" for number, key in enumerate(keys)], [f"key{number}" for number in range(len(keys))]),
                (keys, [str(number + 1) for number in range(len(keys))]),
                ([], keys),
                (keys, keys),
            ]
        )
        having = self.random.choice(["", "", "", f" HAVING count(*) > {self.random.randint(0, 2)}"])
        sql = f"SELECT {', '.join(shown + [aggregates])} FROM {source[0]}{self.where(source)} GROUP BY {', '.join(by)}{having}"
        return {"sql": sql, "incremental": True, "open": True}

    def distinct(self):
        source = self.source(self.random.random() < 0.4)
        sql = f"SELECT DISTINCT {', '.join(self.some(source[1]))} FROM {source[0]}{self.where(source)}"
        return {"sql": sql, "incremental": True, "open": True}

    def aggregate(self):
        source = self.source(self.random.random() < 0.3)
        column = self.random.choice(source[1])
        counted = self.random.random() < 0.5
        if counted:
            aggregates = f"count(*), count({column}), sum(length({column})), sum(CASE typeof({column}) WHEN 'integer' THEN {column} % 97 END)"
        else:
            aggregates = f"count(*), count({column}), min({column}), max({column})"
        return {"sql": f"SELECT {aggregates} FROM {source[0]}{self.where(source)}", "incremental": counted, "open": not counted}

    def ordered(self):
        source = self.source(self.random.random() < 0.2)
        list = self.some(source[1], expressions=False) + source[2]
        order = [f"{number + 1}{self.random.choice(['', '', ' DESC'])}" for number in range(len(list))]
        limit = self.random.choice(["", "", f" LIMIT {self.random.randint(1, 6)}", f" LIMIT {self.random.randint(1, 3)} OFFSET 1"])
        # Rows that the whole order makes equal can still differ, so collations are left out of it by their bytes.
        order += [f"hex({column})" for column in list] + [f"typeof({column})" for column in list]
        return {
            "sql": f"SELECT {', '.join(list)} FROM {source[0]}{self.where(source)} ORDER BY {', '.join(order)}{limit}",
            "ordered": True,
        }

    def subquery(self):
        inner = self.random.choice(
            [
                "a.id IN (SELECT aid FROM b)", "EXISTS (SELECT 1 FROM b WHERE b.aid = a.id)", "a.x = (SELECT max(x) FROM a)",
                "a.id NOT IN (SELECT bid FROM c WHERE bid IS NOT NULL)",
            ]
        )  # fmt: skip
        return {"sql": f"SELECT a.id, a.x FROM a WHERE {inner}"}

    def compound(self):
        return {
            "sql": self.random.choice(
                [
                    "SELECT x FROM a UNION ALL SELECT x FROM a",
                    "SELECT x FROM a UNION ALL SELECT z FROM b",
                    "SELECT id FROM a EXCEPT SELECT aid FROM b",
                    "SELECT id FROM a INTERSECT SELECT aid FROM b",
                    "SELECT z FROM b UNION SELECT w FROM c",
                    "WITH RECURSIVE t(i) AS (SELECT min(id) FROM a UNION ALL SELECT (SELECT min(id) FROM a WHERE id > i) FROM t WHERE i IS NOT NULL) SELECT i FROM t",
                ]
            ),
            "open": True,
        }

    def window(self):
        return {
            "sql": "SELECT id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS n FROM a"
            + self.random.choice(["", " WHERE id < 15"])
        }

    def view(self):
        return {"sql": self.random.choice(["SELECT * FROM va", "SELECT id, z FROM va WHERE z IS NOT NULL", "SELECT count(*) FROM va"])}


KINDS = [
    "filter", "filter", "parameters", "join", "join", "left_join", "left_join", "self_join", "group", "group", "distinct", "aggregate",
    "ordered", "subquery", "compound", "window", "view",
]  # fmt: skip


def queries(world, count):
    """Distinct queries of every kind."""
    made = {}
    number = 0
    while len(made) < count:
        query = world.query(KINDS[number % len(KINDS)])
        number += 1
        made.setdefault((query["sql"], str(query["params"])), query)
        if number > 100 * count:
            break
    return list(made.values())


# MARK: The process


def connect(path):
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def create(path, seed):
    connection = connect(path)
    connection.executescript("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL")
    for statement in World(seed).set_up:
        attempt(connection, statement)
    return connection


def attempt(connection, statement):
    """Runs a statement that may fail, for a constraint: that is part of the game."""
    try:
        connection.execute(statement)
    except sqlite3.Error:
        if statement.startswith(("CREATE TABLE a", "CREATE TABLE b", "CREATE TABLE c", "CREATE TABLE d", 'CREATE TABLE "')):
            raise


def main(path, seed, name):
    world = World(seed)
    world.random.seed(f"{seed} {name}")
    connection = connect(path)
    known = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        for _ in range(int(line)):
            # VACUUM numbers rows anew whose rowid has no name. Beside another writer, no commit would have that result.
            if int(line) == 1 and world.random.random() < 0.02:
                attempt(connection, "VACUUM")
                last = connection.execute("SELECT writer, max(n) FROM ledger").fetchone()
                if last[1]:
                    results = [result(connection, query) for query in known]
                    print(json.dumps({"writer": last[0], "commit": last[1], "results": results}), flush=True)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO ledger SELECT coalesce(max(n), 0) + 1, ? FROM ledger", [name])
            number = connection.execute("SELECT max(n) FROM ledger").fetchone()[0]
            for statement in world.transaction():
                attempt(connection, statement)
            results = [result(connection, query) for query in known]
            print(json.dumps({"writer": name, "commit": number, "results": results}), flush=True)
            connection.execute("COMMIT")
        print(json.dumps({"done": int(line)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
