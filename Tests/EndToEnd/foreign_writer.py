"""A process that changes a database at random, in every way that has ever misled a copy of one.

    foreign_writer.py DATABASE SEED JOURNAL_MODE [CLASS_LEFT_OUT …]

Reads a number of transactions from each line of standard input, makes them, and answers with the number of its last mark: a
row of the table `marks`. The end of input ends it; then it prints how many cases of each class there were, as JSON.
"""

import collections
import json
import random
import sqlite3
import sys

VALUES = [None, 0, 1, -1, 2**53 + 1, -(2**63), 0.5, -0.0, 1e300, float("inf"), "", "x", "X", "ä", "1", "1.0", b"", b"\x00\xff", "y" * 3000, b"z" * 9000]
DEFAULTS = [
    "5", "-5", "+5", "1.50", "-0.0", "1e3", "1e18", "'text'", "'it''s'", '"active"', "`tick`", "[bracket]", "bare", "TRUE", "FALSE",
    "NULL", "x'00ff'", "9223372036854775807", "-9223372036854775808", "0x10", "(1 + 1)", "('a' || 'b')", "(abs(-3))", "''",
]
TYPES = ["", "TEXT", "INTEGER", "REAL", "BLOB", "NUMERIC", '"weird type ("', "VARCHAR(10)", "DOUBLE PRECISION", "[x) STRICT --]", "ANY"]

TABLES = {
    "integer key": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, b)",
    "autoincrement": "CREATE TABLE {t}(id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE, b)",
    "no key": "CREATE TABLE {t}(a, b)",
    "null keys": "CREATE TABLE {t}(k TEXT PRIMARY KEY, a, b)",
    "descending key": "CREATE TABLE {t}(id INTEGER PRIMARY KEY DESC, a, b)",
    "hidden rowids": "CREATE TABLE {t}(rowid, oid, _rowid_, a, b)",
    "without rowid": "CREATE TABLE {t}(a, k, b, PRIMARY KEY(k)) WITHOUT ROWID",
    "repeated key column": "CREATE TABLE {t}(k, a, b, PRIMARY KEY(k COLLATE nocase, k, a)) WITHOUT ROWID",
    "collated key": "CREATE TABLE {t}(b, k COLLATE NOCASE, a, PRIMARY KEY(k, a COLLATE rtrim)) WITHOUT ROWID",
    "strict": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a ANY, b ANY) STRICT",
    "virtual column": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, v AS (upper(a) || '!'), b)",
    "stored column": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, s AS (length(a)) STORED, b)",
    "JSON in a column": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, j AS (json_extract('[1,2]', '$[1]')), b)",
    "JSON in an index": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, b); CREATE INDEX {t}_j ON {t}(json_quote(typeof(a)))",
    "JSON in a partial index": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, b); CREATE INDEX {t}_p ON {t}(a) WHERE json_valid('{{}}')",
    "cascade": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, b); CREATE TABLE {t}_child(id INTEGER PRIMARY KEY, a REFERENCES {t}(id) ON DELETE CASCADE)",
    "trigger": "CREATE TABLE {t}(id INTEGER PRIMARY KEY, a, b); CREATE TABLE {t}_log(a, b); CREATE TRIGGER {t}_w AFTER UPDATE ON {t} BEGIN INSERT INTO {t}_log VALUES (old.a, new.a); END",
    "content table": "CREATE TABLE {t}_content(id INTEGER PRIMARY KEY, a, b); CREATE VIRTUAL TABLE {t} USING fts5(a, b, content='{t}_content', content_rowid='id')",
    "foreign collation": "CREATE TABLE {t}(k COLLATE theirs PRIMARY KEY, a, b)",
}


def name(text):
    return '"' + text.replace('"', '""') + '"'


class Writer:
    def __init__(self, path, seed, journal_mode, left_out=()):
        self.left_out = set(left_out)
        self.kinds = [kind for kind in TABLES if kind not in self.left_out]
        self.operations = [operation for operation in self.OPERATIONS if operation not in self.left_out]
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.next_table = 0
        self.mark = 0
        self.prepare(path, journal_mode)

    def prepare(self, path, journal_mode):
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        self.connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self.connection.create_collation("theirs", lambda one, other: (one > other) - (one < other))
        self.execute(f"PRAGMA journal_mode = {journal_mode}")
        self.execute("PRAGMA foreign_keys = ON")
        self.execute("CREATE TABLE IF NOT EXISTS marks(id INTEGER PRIMARY KEY)")

    def execute(self, sql, *values):
        return self.connection.execute(sql, values).fetchall()

    def value(self):
        return self.random.choice(VALUES) if self.random.random() < 0.5 else self.random.randrange(30)

    def tables(self):
        return [row[0] for row in self.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'marks'")]

    def columns(self, table):
        """Those that can be written, those of the key, and whether there is a rowid to write."""
        described = self.execute(f"PRAGMA table_xinfo({name(table)})")
        return [row[1] for row in described if row[6] == 0]

    # One operation each

    def create_table(self):
        kind = self.random.choice(self.kinds)
        if kind == "foreign collation" and self.random.random() < 0.7:
            return None
        self.next_table += 1
        self.script(TABLES[kind].format(t=f"t{self.next_table}"))
        return kind

    def script(self, sql):
        """Several statements, of which a trigger is one."""
        rest = ""
        for part in sql.split(";"):
            rest += part
            if sqlite3.complete_statement(rest + ";"):
                if rest.strip():
                    self.execute(rest)
                rest = ""
            else:
                rest += ";"

    def drop_table(self, table):
        if len(self.tables()) > 4:
            self.execute(f"DROP TABLE {name(table)}")
            return "drop"

    def insert(self, table):
        columns = self.columns(table)
        verb = self.random.choice(["INSERT", "INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
        for _ in range(self.random.choice([1, 1, 3, 20])):
            some = self.random.sample(columns, self.random.randint(1, len(columns)))
            self.execute(f"{verb} INTO {name(table)} ({', '.join(map(name, some))}) VALUES ({', '.join('?' * len(some))})", *(self.value() for _ in some))
        return verb.lower()

    def where(self, table):
        column = self.random.choice(self.columns(table))
        return self.random.choice([f"{name(column)} IS NULL", f"typeof({name(column)}) = 'integer'", f"{name(column)} > 10", f"{name(column)} = {self.random.randrange(30)}", "1"])

    def update(self, table):
        some = self.random.sample(self.columns(table), 1)
        verb = self.random.choice(["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
        self.execute(f"{verb} {name(table)} SET {', '.join(f'{name(c)} = ?' for c in some)} WHERE {self.where(table)}", *(self.value() for _ in some))
        return "update"

    def update_nothing(self, table):
        column = name(self.random.choice(self.columns(table)))
        self.execute(f"UPDATE {name(table)} SET {column} = {column}")
        return "update that changes nothing"

    def delete(self, table):
        self.execute(f"DELETE FROM {name(table)} WHERE {self.where(table)}")
        return "delete"

    def move_rowids(self, table):
        (key,) = [row[1] for row in self.execute(f"PRAGMA table_xinfo({name(table)})") if row[2] == "INTEGER" and row[5] == 1][:1] or [None]
        if key:
            self.execute(f"UPDATE OR REPLACE {name(table)} SET {name(key)} = {name(key)} + {self.random.choice([-1, 1, 100])} WHERE {self.where(table)}")
            return "rowids that move"

    def add_column(self, table):
        column = f"c{self.random.randrange(1_000)}"
        if self.random.random() < 0.3 and "virtual column added" not in self.left_out:
            source = name(self.random.choice(self.columns(table)))
            self.execute(f"ALTER TABLE {name(table)} ADD COLUMN {column} AS (upper({source}))")
            return "virtual column added"
        default = self.random.choice([default for default in DEFAULTS if default not in self.left_out])
        type = self.random.choice(TYPES if "types" not in self.left_out else ["", "TEXT", "INTEGER", "REAL"])
        self.execute(f"ALTER TABLE {name(table)} ADD COLUMN {column} {type} DEFAULT {default}")
        return f"default {default}"

    def drop_column(self, table):
        self.execute(f"ALTER TABLE {name(table)} DROP COLUMN {name(self.random.choice(self.columns(table)))}")
        return "column dropped"

    def rename_column(self, table):
        self.execute(f"ALTER TABLE {name(table)} RENAME COLUMN {name(self.random.choice(self.columns(table)))} TO r{self.random.randrange(1_000)}")
        return "column renamed"

    def rename_table(self, table):
        self.next_table += 1
        self.execute(f"ALTER TABLE {name(table)} RENAME TO t{self.next_table}")
        return "table renamed"

    def swap_tables(self, table):
        other = self.random.choice(self.tables())
        if other != table:
            self.execute(f"ALTER TABLE {name(table)} RENAME TO swapping")
            self.execute(f"ALTER TABLE {name(other)} RENAME TO {name(table)}")
            self.execute(f"ALTER TABLE swapping RENAME TO {name(other)}")
            return "tables swapped"

    def alter_and_write(self, table):
        classes = [self.add_column(table), self.update(table), self.delete(table)]
        return "alter and write in one transaction, " + str(classes[0]).split(" ")[0]

    def make_anew(self, table):
        sql = self.execute("SELECT sql FROM sqlite_schema WHERE name = ? AND type = 'table'", table)
        self.execute(f"DROP TABLE {name(table)}")
        self.execute(sql[0][0])
        self.insert(table)
        return "dropped and recreated"

    def edit_schema(self, table):
        """A default that is edited where the schema is kept; rows that have no value of their own read differently."""
        column = f"w{self.random.randrange(1_000)}"
        self.execute(f"ALTER TABLE {name(table)} ADD COLUMN {column} DEFAULT 'before'")
        return "column for a later edit"

    def index(self, table):
        self.execute(f"CREATE INDEX i{self.random.randrange(1_000_000)} ON {name(table)}({name(self.random.choice(self.columns(table)))})")
        return "index"

    OPERATIONS = (
        ["insert"] * 8 + ["update"] * 5 + ["delete"] * 2 + ["update_nothing", "move_rowids", "add_column", "drop_column", "rename_column"]
        + ["rename_table", "swap_tables", "alter_and_write", "alter_and_write", "make_anew", "drop_table", "index"]
    )

    # Transactions

    def transaction(self):
        if self.random.random() < 0.02:
            return self.alone(self.random.choice(["VACUUM", "PRAGMA incremental_vacuum", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"]))
        if self.random.random() < 0.03 and "edit_default" not in self.left_out:
            return self.edit_default()
        self.execute("BEGIN IMMEDIATE")
        classes = []
        for _ in range(self.random.choice([1, 1, 2, 4, 8])):
            has_savepoint = self.random.random() < 0.25
            if has_savepoint:
                self.execute("SAVEPOINT s")
            found = self.operation()
            if has_savepoint:
                if self.random.random() < 0.4:
                    self.execute("ROLLBACK TO s")
                    found = ["savepoint rolled back"]
                self.execute("RELEASE s")
            classes += found
        if self.random.random() < 0.05:
            self.execute("ROLLBACK")
            self.counts["rolled back"] += 1
            return
        self.execute("COMMIT")
        self.counts.update(classes)

    def operation(self):
        tables = self.tables()
        try:
            if len(tables) < 4 or self.random.random() < 0.1:
                found = self.create_table()
            else:
                found = getattr(self, self.random.choice(self.operations))(self.random.choice(tables))
            return [found] if found else []
        except sqlite3.Error:
            # Not possible here: a constraint, a column that something depends on, a name that is taken.
            return ["statement refused"]

    def alone(self, sql):
        try:
            self.execute(sql)
            self.counts[sql] += 1
        except sqlite3.Error:
            self.counts["statement refused"] += 1

    def edit_default(self):
        found = self.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%DEFAULT 5%' LIMIT 1")
        if not found:
            return
        table, sql = found[0]
        self.execute("BEGIN IMMEDIATE")
        version = self.execute("PRAGMA schema_version")[0][0]
        self.execute("PRAGMA writable_schema = ON")
        self.execute("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?", sql.replace("DEFAULT 5", "DEFAULT 7", 1), table)
        self.execute(f"PRAGMA schema_version = {version + 1}")
        self.execute("PRAGMA writable_schema = OFF")
        self.execute("COMMIT")
        self.counts["default edited in the schema"] += 1

    def run(self, count):
        for _ in range(count):
            self.transaction()
        self.mark += 1
        self.execute("INSERT INTO marks VALUES (?)", self.mark)
        return self.mark


def main():
    path, seed, journal_mode, *left_out = sys.argv[1:]
    writer = Writer(path, int(seed), journal_mode, left_out)
    for line in sys.stdin:
        print(writer.run(int(line)), flush=True)
    print(json.dumps(writer.counts), flush=True)


if __name__ == "__main__":
    main()
