"""A strict copy of a database, made of nothing but what the service sends. Written from its documentation, not from its code.

Strict: no insert of a row that is there, no update or delete of one that is not, no `before` that is not what was, no update
that changes nothing, no message out of order.
"""

import base64
import collections
import itertools
import json
import sqlite3

SNAPSHOT_ENDS = "snapshot:end"


class Violation(AssertionError):
    """The service broke a promise."""


def decoded(value):
    """A value of the wire as something that compares: blobs and invalid texts differ from strings."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "$int64":
            return int(content)
        case "$base64":
            return ("blob", base64.b64decode(content))
        case "$real":
            return float(content)
        case "$text":
            return ("text", base64.b64decode(content))
    raise Violation(f"unknown form of a value: {value}")


def from_sqlite(value):
    """The same of a value that Python's sqlite3 read with `text_factory = bytes_or_text`."""
    return ("blob", value) if isinstance(value, bytes) else value


def text_or_bytes(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ("text", data)


def same(one, other):
    return one == other and (one is None) == (other is None) and isinstance(one, str) == isinstance(other, str)


class Unknown:
    """The value of a column that this client cannot compute: its function or collation is the writer's."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class Table:
    def __init__(self, columns, key, sql=None):
        self.columns = columns
        self.key = key
        self.sql = sql
        self.by_rowid = None
        self.rows = {}

    def identity(self, key, rowid):
        if self.by_rowid is None:
            self.by_rowid = rowid is not None
        if self.by_rowid:
            if rowid is None:
                raise Violation(f"a row without its rowid: {key}")
            return rowid
        return tuple(key.get(name) for name in self.key)

    def recompute(self, missing):
        """Values of new columns, as SQLite computes them for rows that are there."""
        stored = [name for name in self.columns if name not in missing]
        try:
            connection = sqlite3.connect(":memory:", isolation_level=None)
            connection.text_factory = text_or_bytes
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute(self.sql)
            (name,) = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchone()
            quoted = '"' + name.replace('"', '""') + '"'
            plain = {column[1]: column for column in connection.execute(f"PRAGMA table_xinfo({quoted})") if column[6] == 0}
            given = [column for column in stored if column in plain]
            added = {column: value_of_added(plain[column][2], plain[column][4]) for column in missing if column in plain}
            names = ", ".join('"' + column.replace('"', '""') + '"' for column in given)
            for row in self.rows.values():
                values = [to_sqlite(row[column]) for column in given]
                connection.execute(f"DELETE FROM {quoted}")
                connection.execute(f"INSERT INTO {quoted} ({names}) VALUES ({', '.join('?' * len(given))})", values)
                found = connection.execute(f"SELECT * FROM {quoted}")
                computed = dict(zip([column[0] for column in found.description], map(from_sqlite, found.fetchone())))
                for column in missing:
                    row[column] = added.get(column, computed[column])
        except sqlite3.Error:
            for row in self.rows.values():
                for column in missing:
                    row.setdefault(column, Unknown())


def value_of_added(type, default):
    """What rows have in a column that ALTER TABLE adds: with `TEXT DEFAULT FALSE` the integer 0, where an INSERT makes it '0'."""
    if default is None:
        return None
    declared = '"' + type.replace('"', '""') + '"' if type else ""
    for spelling in (default, f"({default})"):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.text_factory = text_or_bytes
        connection.executescript("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
        try:
            connection.execute(f"ALTER TABLE t ADD COLUMN b {declared} DEFAULT {spelling}")
            return from_sqlite(connection.execute("SELECT b FROM t").fetchone()[0])
        except sqlite3.Error:
            continue
    return Unknown()


def to_sqlite(value):
    return value[1] if isinstance(value, tuple) else None if isinstance(value, Unknown) else value


RANKS = ("dropped", "renamed", "modified", "created", "rows")


def rank(message):
    data = message["data"]
    match message["type"]:
        case "table:dropped":
            return 0
        case "table:created":
            return 3
    if data["change"] == "rows":
        return 4
    return 1 if "previousName" in data else 2


class Replica:
    def __init__(self, is_ordered=True):
        self.is_ordered = is_ordered
        self.tables = {}
        self.position = None
        self.counts = collections.Counter()
        self.unreadable = set()
        self.is_stale = False

    # Snapshots

    def begin_snapshot(self):
        self.tables = {}
        self.unreadable = set()
        self.position = None
        self.is_stale = False

    def take_snapshot(self, data, keys):
        """`keys` knows the primary key of each table, from GET /tables/{name}: a snapshot does not say it."""
        table = self.tables.get(data["tableName"])
        if table is None:
            table = self.tables[data["tableName"]] = Table(data["columns"], keys(data["tableName"]))
            table.by_rowid = "rowids" in data
        rowids = data.get("rowids")
        for index, row in enumerate(data["rows"]):
            row = {name: decoded(value) for name, value in row.items()}
            identity = table.identity(row, decoded(rowids[index]) if rowids else None)
            if identity in table.rows:
                raise Violation(f"two rows of {data['tableName']} with the identity {identity}")
            table.rows[identity] = row
        self.counts["snapshot rows"] += len(data["rows"])

    # Transactions

    def apply(self, messages):
        """The messages of one transaction, of which the last says so."""
        created = {message["data"]["tableName"] for message in messages if message["type"] == "table:created"}

        def place(message):
            # Indexes and triggers of a table that is new follow it.
            return 3 if rank(message) == 2 and message["data"]["tableName"] in created else rank(message)

        places = [place(message) for message in messages]
        if self.is_ordered and places != sorted(places):
            raise Violation(f"out of order: {[RANKS[place] for place in places]}")
        for number, group in itertools.groupby(sorted(messages, key=place), place):
            group = list(group)
            self.counts[RANKS[number]] += len(group)
            match number:
                case 0:
                    for message in group:
                        self.drop(message["data"]["tableName"])
                case 1:
                    self.rename(group)
                case 2:
                    for message in group:
                        self.alter(message["data"])
                case 3:
                    for message in group:
                        (self.create if message["type"] == "table:created" else self.alter)(message["data"])
                case 4:
                    for name, part in itertools.groupby(group, lambda message: message["data"]["tableName"]):
                        self.change(name, [message["data"] for message in part])
        self.counts["transactions"] += 1
        self.position = messages[-1]["position"]

    def drop(self, name):
        if self.tables.pop(name, None) is None:
            raise Violation(f"a table dropped that is not there: {name}")

    def rename(self, group):
        names = [(message["data"]["previousName"], message["data"]) for message in group]
        taken = {}
        for previous, data in names:
            if previous not in self.tables:
                raise Violation(f"a table renamed that is not there: {previous}")
            taken[data["tableName"]] = self.tables.pop(previous)
        for name, table in taken.items():
            if name in self.tables:
                raise Violation(f"a table renamed to one that is there: {name}")
            self.tables[name] = table
        for _, data in names:
            self.alter(data)

    def alter(self, data):
        table = self.tables.get(data["tableName"])
        if table is None:
            raise Violation(f"a table modified that is not there: {data['tableName']}")
        if data.get("objectType", "table") != "table":
            return
        table.sql = data.get("sql", table.sql)
        columns = [column["name"] for column in data["columns"] if not column.get("hidden")]
        sources = data.get("columnSources")
        if sources is None:
            sources = range(len(columns))
            if len(columns) != len(table.columns):
                raise Violation(f"other columns and no columnSources: {table.columns} to {columns}")
        old = table.columns
        missing = [name for name, source in zip(columns, sources) if source is None]
        for row in table.rows.values():
            carried = {name: row[old[source]] for name, source in zip(columns, sources) if source is not None}
            row.clear()
            row.update(carried)
        table.columns = columns
        table.key = primary_key(data["columns"])
        if missing:
            table.recompute(missing)

    def create(self, data):
        name = data["tableName"]
        if name in self.tables:
            raise Violation(f"a table created that is there: {name}")
        columns = [column["name"] for column in data["columns"] if not column.get("hidden")]
        self.tables[name] = Table(columns, primary_key(data["columns"]), data.get("sql"))
        self.tables[name].kind = data["objectType"]

    def change(self, name, parts):
        table = self.tables.get(name)
        if any(data.get("rowsOmitted") for data in parts):
            # Rows changed and are not listed: the documentation says to read the table again.
            self.counts["rows omitted"] += 1
            if getattr(table, "kind", "table") == "table":
                self.is_stale = True
            return
        if table is None:
            raise Violation(f"rows of a table that is not there: {name}")
        changes = [change for data in parts for change in data["rows"]]
        for operation in ("insert", "update", "delete"):
            told = sum(data[{"insert": "inserted", "update": "updated", "delete": "deleted"}[operation]] for data in parts)
            listed = sum(change["op"] == operation for change in changes)
            if told != listed:
                raise Violation(f"{told} {operation}s counted and {listed} listed in {name}")
        # As one step: rows can have swapped their keys.
        fresh = []
        for change in changes:
            key = {column: decoded(value) for column, value in change["key"].items()}
            rowid = decoded(change.get("rowid"))
            before = {column: decoded(value) for column, value in change.get("before", {}).items()}
            after = {column: decoded(value) for column, value in change.get("after", {}).items()}
            if (change["op"] != "insert") != bool(before) or (change["op"] != "delete") != bool(after):
                raise Violation(f"{change['op']} with the wrong sides in {name}: {change}")
            if change["op"] != "insert":
                identity = table.identity({**key, **before}, rowid)
                known = table.rows.pop(identity, None)
                if known is None:
                    raise Violation(f"{change['op']} of a row that is not in {name}: {identity}")
                if not equal(known, before):
                    raise Violation(f"before of {name} {identity} is {before}, and the row is {known}")
            if change["op"] == "update" and equal(before, after) and is_same_storage(before, after):
                raise Violation(f"an update of {name} that changes nothing: {after}")
            if change["op"] != "delete":
                fresh.append((table.identity({**key, **after}, rowid), after))
            self.counts[change["op"]] += 1
        for identity, row in fresh:
            if identity in table.rows:
                raise Violation(f"a row inserted that is in {name}: {identity}")
            if set(row) != set(table.columns):
                raise Violation(f"columns of {name} are {table.columns}, and a row has {list(row)}")
            table.rows[identity] = row

    # Comparison

    def differences(self, connection):
        """What a connection to the real file finds that is not here."""
        connection.text_factory = text_or_bytes
        found = []
        names = own_tables(connection) - self.unreadable
        mine = {name for name, table in self.tables.items() if getattr(table, "kind", "table") == "table"} - self.unreadable
        if names != mine:
            found.append(f"tables {names} and here {mine}")
        for name in names & mine:
            quoted = '"' + name.replace('"', '""') + '"'
            rows = connection.execute(f"SELECT * FROM {quoted}")
            columns = [column[0] for column in rows.description]
            truth = [dict(zip(columns, map(from_sqlite, row))) for row in rows]
            copied = list(self.tables[name].rows.values())
            missing = [row for row in truth if not any(equal(row, other) for other in copied)]
            if missing or len(truth) != len(copied):
                found.append(f"{name}: {len(truth)} rows and here {len(copied)}; not here {missing[:2]}, here {copied[:2]}")
        return found


def own_tables(connection):
    """The user's tables. SQLite calls a table a shadow by its name alone, and the content table of an FTS5 index can have such a name."""
    kinds = dict(connection.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"))
    definitions = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))

    def is_content(name):
        definition = definitions.get(name.removesuffix("_content"), "")
        return name.endswith("_content") and "content=" in definition.replace(" ", "")

    return {name for name, kind in kinds.items() if kind == "table" or (kind == "shadow" and is_content(name))}


def equal(one, other):
    return one.keys() == other.keys() and all(same_value(value, other[name]) for name, value in one.items())


def same_value(one, other):
    return isinstance(one, Unknown) or isinstance(other, Unknown) or same(one, other)


def is_same_storage(one, other):
    """Whether no value went from an integer to the real of the same size, or back."""
    return all(type(value) is type(other[name]) for name, value in one.items())


def primary_key(columns):
    return [column["name"] for column in sorted(columns, key=lambda column: column.get("primaryKey", 0)) if column.get("primaryKey")]


def parse(text):
    return json.loads(text)
