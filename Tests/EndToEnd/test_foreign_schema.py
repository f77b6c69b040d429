"""Another process alters the schema at random; what is read and written here must be named as it is in the file."""

import json
import random
import sqlite3
import urllib.request

import pytest

from processes import LIMIT
from sockets import Client

ROUNDS = 150
NAMES = "abcdefgh"


class Schema:
    """One table `t` and one view `v` of it, altered by a connection of another process."""

    def __init__(self, path, seed):
        self.random = random.Random(seed)
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=LIMIT)
        self.connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t(a, b); CREATE VIEW v AS SELECT * FROM t; INSERT INTO t VALUES (1, 2)")

    def columns(self):
        return [name for _, name, *_ in self.connection.execute("PRAGMA table_info(t)")]

    def rows(self):
        """By rowid, each as a list of its values."""
        return {rowid: values for rowid, *values in self.connection.execute("SELECT rowid, * FROM t")}

    def objects(self, relation):
        """What a client should get; nothing of a view whose table has no such column any more."""
        try:
            rows = self.connection.execute(f"SELECT * FROM {relation}")
        except sqlite3.OperationalError:
            return None
        names = [name for name, *_ in rows.description]
        return [dict(zip(names, row)) for row in rows]

    def alter(self):
        columns, choice = self.columns(), self.random.choice
        some = ", ".join(self.random.sample(NAMES, self.random.randint(1, 5)))
        shown = ", ".join(self.random.sample(columns, self.random.randint(1, len(columns))))
        statement = choice(
            [
                f"ALTER TABLE t ADD COLUMN {choice(NAMES)} DEFAULT {self.random.randrange(99)}",
                f"DROP VIEW IF EXISTS v; ALTER TABLE t DROP COLUMN {choice(columns)}",
                f"DROP VIEW IF EXISTS v; ALTER TABLE t RENAME COLUMN {choice(columns)} TO {choice(NAMES)}",
                f"DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT {shown} FROM t",
                f"BEGIN; DROP TABLE t; CREATE TABLE t({some}); INSERT INTO t DEFAULT VALUES; COMMIT",
                f"CREATE INDEX i ON t({choice(columns)})",
                "DROP INDEX i",
            ]
        )
        try:
            self.connection.executescript(statement)
        except sqlite3.OperationalError:
            pass  # there is such a column already, or an index of it, or it is the last one

    def write(self, number):
        column = self.random.choice(self.columns())
        return self.random.choice(
            [
                f"INSERT INTO t({column}) VALUES ({number}) RETURNING *",
                f"UPDATE t SET {column} = {number} WHERE rowid = (SELECT min(rowid) FROM t) RETURNING *",
                "DELETE FROM t WHERE rowid = (SELECT max(rowid) FROM t) RETURNING *",
            ]
        )


def check_rows(message, columns, before, after):
    """The message names exactly the rows that differ, with the values that they had and have."""
    changed = sorted(rowid for rowid in {*before, *after} if before.get(rowid) != after.get(rowid))
    rows = message["data"]["rows"]
    assert [row["rowid"] for row in rows] == changed
    for row in rows:
        old, new = (dict(zip(columns, state.get(row["rowid"], []))) for state in (before, after))
        assert (row.get("before", {}), row.get("after", {})) == (old, new)


@pytest.mark.parametrize("seed", [random.randrange(1_000_000) for _ in range(2)])
def test_names_and_values_stay_together_whatever_another_process_does_to_the_schema(serve, tmp_path, seed):
    print(f"seed {seed}")
    path = tmp_path / "schema.db"
    schema = Schema(path, seed)
    server = serve(path)
    with Client(server.ws) as client, Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        for number in range(ROUNDS):
            schema.alter()
            for relation in ("t", "v"):
                expected = schema.objects(relation)
                if expected is not None:
                    assert client.query(f"SELECT * FROM {relation}", f"read-{relation}-{number}")[0] == expected
            columns, before = schema.columns(), schema.rows()
            returned, end = client.query(schema.write(number), f"write-{number}")
            assert end["type"] == "query:complete"
            assert all(list(row) == columns for row in returned)
            if (after := schema.rows()) != before:
                written = {"queryId": f"write-{number}", "change": "rows"}
                message = listener.message("table:modified", where=lambda m: written.items() <= m["data"].items())
                check_rows(message, columns, before, after)
            with urllib.request.urlopen(f"{server.http}/tables/t", timeout=LIMIT) as response:
                assert [column["name"] for column in json.load(response)["columns"]] == columns
