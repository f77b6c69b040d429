"""Another process changes tables whose schema is not what its text would make one think; the feed must have what SQLite reads."""

import json
import sqlite3
import subprocess
import sys
import urllib.request

import pytest

from processes import LIMIT
from sockets import Client

SPELLINGS = ['"active"', "[active]", "`active`", "active", "'active'"]


def write(path, sql):
    """As any other program would: the SQLite shell."""
    subprocess.run(["sqlite3", path, f".timeout {LIMIT * 1000}", sql], check=True, timeout=LIMIT, stdout=subprocess.PIPE)


def create(path, journal, sql):
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = {journal}; {sql}")
    connection.close()


def transaction(listener):
    """The data of every message of the next transaction."""
    found = []
    while not found or not found[-1]["transaction"]["last"]:
        message = listener.receive()
        if message["type"].startswith("table:"):
            found.append({"type": message["type"], **message["data"]})
    return found


def changes(messages):
    return [(row["op"], row.get("before"), row.get("after")) for message in messages for row in message.get("rows", [])]


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_rows_older_than_a_column_have_its_default(serve, tmp_path, spelling, journal):
    path = tmp_path / "defaults.db"
    create(
        path,
        journal,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u, w); INSERT INTO t VALUES(1, 1, 1), (2, 2, 2);"
        f"ALTER TABLE t ADD COLUMN s TEXT NOT NULL DEFAULT {spelling}; CREATE TABLE n(x)",
    )
    server = serve(path)
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        write(path, "BEGIN; UPDATE t SET u = u WHERE id = 1; INSERT INTO n VALUES(1); COMMIT")
        assert changes(transaction(listener)) == [("insert", None, {"x": 1})]
        write(path, "ALTER TABLE t DROP COLUMN w")
        assert changes(transaction(listener)) == []
        write(path, "DELETE FROM t WHERE id = 1")
        assert changes(transaction(listener)) == [("delete", {"id": 1, "u": 1, "s": "active"}, None)]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_virtual_columns_before_a_commit_that_alters_the_table(serve, tmp_path, journal):
    path = tmp_path / "virtual.db"
    create(path, journal, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1, 'x'), (2, 'y')")
    server = serve(path)
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        write(path, "BEGIN; ALTER TABLE t ADD COLUMN v AS (upper(a)); DELETE FROM t WHERE id = 1; COMMIT")
        assert changes(transaction(listener)) == [("delete", {"id": 1, "a": "x", "v": "X"}, None)]
        write(path, "BEGIN; ALTER TABLE t RENAME COLUMN v TO vv; ALTER TABLE t RENAME COLUMN id TO k; UPDATE t SET a = 'z'; COMMIT")
        assert changes(transaction(listener)) == [("update", {"k": 2, "a": "y", "vv": "Y"}, {"k": 2, "a": "z", "vv": "Z"})]


def test_a_key_that_names_a_column_under_two_collations(serve, tmp_path):
    path = tmp_path / "key.db"
    create(path, "wal", "CREATE TABLE t(a, b, PRIMARY KEY(a COLLATE nocase, a)) WITHOUT ROWID; INSERT INTO t VALUES('x', 1)")
    server = serve(path)
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        write(path, "UPDATE t SET b = 2")
        assert changes(transaction(listener)) == [("update", {"a": "x", "b": 1}, {"a": "x", "b": 2})]


def test_a_content_table_of_the_user_is_listed_and_followed(serve, tmp_path):
    path = tmp_path / "notes.db"
    create(path, "wal", "CREATE TABLE note_content(t); CREATE VIRTUAL TABLE note USING fts5(t, content='note_content')")
    server = serve(path)
    with urllib.request.urlopen(f"{server.http}/tables", timeout=LIMIT) as response:
        tables = {table["name"]: table["kind"] for table in json.load(response)["tables"]}
    assert tables == {"note": "virtual", "note_content": "table"}
    for name, kind in {"note_content": "table", "note_data": "shadow"}.items():
        with urllib.request.urlopen(f"{server.http}/tables/{name}", timeout=LIMIT) as response:
            assert json.load(response)["kind"] == kind
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values", tables=["note_content"])
        write(path, "INSERT INTO note_content VALUES('x')")
        assert changes(transaction(listener)) == [("insert", None, {"t": "x"})]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_messages_come_in_the_order_in_which_they_can_be_applied(serve, tmp_path, journal):
    path = tmp_path / "order.db"
    create(
        path,
        journal,
        "CREATE TABLE m(z); CREATE TABLE a(x); CREATE TABLE b(y); CREATE TABLE gone(q); INSERT INTO b VALUES(1)",
    )
    server = serve(path)
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        write(
            path,
            "BEGIN; CREATE TABLE new(k); ALTER TABLE m ADD COLUMN n; DROP TABLE gone; ALTER TABLE a RENAME TO c;"
            "ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b; UPDATE a SET y = 2; COMMIT",
        )
        messages = transaction(listener)
        assert [(message["type"], message.get("change")) for message in messages] == [
            ("table:dropped", None),
            ("table:modified", "schema"),
            ("table:modified", "schema"),
            ("table:modified", "schema"),
            ("table:created", None),
            ("table:modified", "rows"),
        ]
        renames = {message["tableName"]: message.get("previousName") for message in messages[1:3]}
        assert renames == {"a": "b", "b": "a"}
        assert changes(messages) == [("update", {"y": 1}, {"y": 2})]


@pytest.mark.parametrize(
    ("alteration", "columns"),
    [
        ("ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME TO u", [0, 1, 2]),
        ("ALTER TABLE t RENAME TO v; ALTER TABLE v RENAME TO u; ALTER TABLE u RENAME COLUMN b TO y; ALTER TABLE u ADD COLUMN c", [0, 1, 2, None]),
    ],
)
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_table_that_is_renamed_and_altered_is_renamed(serve, tmp_path, journal, alteration, columns):
    path = tmp_path / "renamed.db"
    create(path, journal, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'x', 'y'), (2, 'z', NULL)")
    server = serve(path)
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        write(path, f"BEGIN; {alteration}; COMMIT")
        (message,) = transaction(listener)
        assert (message["type"], message["change"]) == ("table:modified", "schema")
        assert (message["previousName"], message["tableName"], message["columnSources"]) == ("t", "u", columns)


def test_columns_that_a_virtual_table_has_of_another_one_follow_it(serve, tmp_path):
    path = tmp_path / "followed.db"
    create(path, "wal", "CREATE TABLE c(x, y); CREATE VIRTUAL TABLE n USING fts4(content='c')")
    server = serve(path)
    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        write(path, "ALTER TABLE c ADD COLUMN z")
        shown = {message["tableName"]: [column["name"] for column in message["columns"]] for message in transaction(listener)}
        assert shown["n"][:3] == shown["c"] == ["x", "y", "z"]
        write(path, "DROP TABLE c")
        assert [(m["tableName"], m.get("columns")) for m in transaction(listener) if m["type"] == "table:modified"] == [("n", [])]


# Commits of the service and of another process that follow one another quickly are seen as one with a rollback journal.
OTHER_WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
for line in sys.stdin:
    for number in range(3):
        connection.execute("INSERT INTO theirs VALUES (?)", [number])
"""
# Merged commits that are waited for, in at most so many queries.
MERGED, MAX_QUERIES = 5, 500


def test_a_query_has_a_position_when_its_commit_merged_with_others(serve, tmp_path):
    path = tmp_path / "merged.db"
    create(path, "delete", "CREATE TABLE ours(id INTEGER PRIMARY KEY); CREATE TABLE theirs(number)")
    server = serve(path)
    other = subprocess.Popen([sys.executable, "-c", OTHER_WRITER, path], stdin=subprocess.PIPE, text=True)
    try:
        with Client(server.ws) as listener, Client(server.ws) as writer:
            listener.subscribe("tables", tables=["ours"], rows="values")
            merged = 0
            for number in range(MAX_QUERIES):
                other.stdin.write("write\n")
                other.stdin.flush()
                _, last = writer.query(f"INSERT INTO ours VALUES({number})", f"q{number}")
                assert last["type"] == "query:complete", last
                (message,) = transaction(listener)
                assert changes([message]) == [("insert", None, {"id": number})]
                # A position before that of the row would lose it for a client that resumes from there.
                assert sequence(last["data"]["position"]) >= sequence(message["transaction"]["position"])
                merged += message["origin"] == "external"
                if merged == MERGED:
                    return
    finally:
        other.kill()
        other.wait()
    pytest.fail(f"{merged} of {MAX_QUERIES} commits merged")


def sequence(position):
    return int(position.partition(":")[2])
