"""Snapshots: which row is which, tables that this process cannot read, and what is good of one that was cut."""

import sqlite3

import pytest

from processes import LIMIT
from sockets import Client


def make(path, sql, collation=None):
    connection = sqlite3.connect(path, timeout=LIMIT, isolation_level=None)
    if collation:
        connection.create_collation(collation, lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
        connection.create_function("shout", 1, lambda text: text and text.upper(), deterministic=True)
    connection.executescript(sql)
    return connection


def snapshot(client, **data):
    """The acknowledgement, the rows by table as pairs of rowid and row, and the end."""
    client.send("subscribe", channel="tables", id="snapshot", rows="values", snapshot=True, **data)
    subscribed = client.message("subscribed", where=lambda m: m.get("replyTo") == "snapshot")
    tables = {}
    while (message := client.receive())["type"] != "snapshot:end":
        part = message["data"]
        assert ("key" in part) != ("rowids" in part)
        rowids = part.get("rowids", [None] * len(part["rows"]))
        assert len(rowids) == len(part["rows"])
        tables.setdefault(part["tableName"], []).extend(zip(rowids, part["rows"]))
    return subscribed["data"], tables, message["data"]


@pytest.mark.parametrize(
    ("definition", "rows", "has_rowids"),
    [
        ("CREATE TABLE t(k TEXT PRIMARY KEY, v)", "(NULL, 1), (NULL, 2), ('a', 3)", True),
        ("CREATE TABLE t(k INTEGER PRIMARY KEY DESC, v)", "(5, 1), (3, 2), (NULL, 3)", True),
        ("CREATE TABLE t(a, b NOT NULL, v, PRIMARY KEY (a, b))", "(NULL, 1, 1), (NULL, 1, 2)", True),
        ("CREATE TABLE t(v)", "(1), (1)", True),
        ("CREATE TABLE t(rowid, v)", "(1, 1), (1, 1)", True),
        ("CREATE TABLE t(rowid, oid, _rowid_)", "(7, 8, 9), (7, 8, 9), (1, 1, 1)", True),
        ("CREATE TABLE t(rowid TEXT PRIMARY KEY, oid, _ROWID_)", "(NULL, 8, 9), (NULL, 8, 10)", True),
        ("CREATE TABLE t(k INTEGER PRIMARY KEY, rowid, oid, _rowid_)", "(1, 2, 3, 4)", False),
        ("CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, v)", "('a', 1)", False),
        ("CREATE TABLE t(k TEXT PRIMARY KEY, v) WITHOUT ROWID", "('a', 1)", False),
    ],
)
def test_rows_are_known_by_their_rowids_unless_a_key_identifies_them(serve, tmp_path, definition, rows, has_rowids):
    path = tmp_path / "keys.db"
    connection = make(path, f"PRAGMA journal_mode = WAL; {definition}; INSERT INTO t VALUES {rows}")
    # Not in the order in which they were written.
    connection.execute("INSERT INTO t SELECT * FROM t LIMIT 0")
    with Client(serve(path).ws) as client:
        _, tables, end = snapshot(client)
        assert end["tables"] == ["t"] and end["unreadable"] == []
        before = tables["t"]
        assert all((rowid is not None) == has_rowids for rowid, _ in before)
        assert len({rowid for rowid, _ in before}) == (len(before) if has_rowids else 1)
        connection.execute("DELETE FROM t")
        deleted = client.message("table:modified")["data"]["rows"]
        if has_rowids:
            assert {(row["rowid"], str(row["before"])) for row in deleted} == {(i, str(row)) for i, row in before}
        else:
            assert sorted(str(row["before"]) for row in deleted) == sorted(str(row) for _, row in before)


def test_a_snapshot_names_the_columns_by_which_changes_name_a_row(serve, tmp_path):
    path = tmp_path / "named.db"
    connection = make(path, "PRAGMA journal_mode = WAL; CREATE TABLE t(v, b INT, a TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO t VALUES (1, 2, 'x')")
    with Client(serve(path).ws) as client:
        client.send("subscribe", channel="tables", rows="values", snapshot=True)
        assert client.message("table:snapshot")["data"]["key"] == ["a", "b"]
        connection.execute("UPDATE t SET v = 3")
        assert list(client.message("table:modified")["data"]["rows"][0]["key"]) == ["a", "b"]


def test_many_rows_whose_rowid_no_name_reaches_keep_them(serve, tmp_path):
    path = tmp_path / "hidden.db"
    connection = make(path, "PRAGMA journal_mode = WAL; CREATE TABLE t(rowid, oid, _rowid_, pad)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
    connection.execute(f"INSERT INTO t {numbers} SELECT i, -i, 0, hex(randomblob(200)) FROM n")
    connection.execute("DELETE FROM t WHERE rowid % 3 = 0")
    with Client(serve(path).ws) as client:
        connection.execute("INSERT INTO t VALUES (9999, 0, 0, '')")
        _, tables, end = snapshot(client)
        assert end["unreadable"] == []
        # The n-th row that was inserted has the rowid n.
        assert [(i, row["rowid"]) for i, row in tables["t"]] == [(i, i) for i in range(1, 5001) if i % 3] + [(5001, 9999)]


def test_a_table_that_only_its_writer_can_read_does_not_end_the_others(serve, tmp_path):
    path = tmp_path / "cards.db"
    connection = make(
        path,
        """
        PRAGMA journal_mode = WAL;
        CREATE TABLE cards(id INTEGER PRIMARY KEY, text);
        CREATE TABLE decks(name TEXT PRIMARY KEY COLLATE unicase, n) WITHOUT ROWID;
        CREATE TABLE loud(text, big AS (shout(text)));
        CREATE TABLE tags(tag TEXT NOT NULL PRIMARY KEY COLLATE unicase, usn);
        INSERT INTO cards VALUES (1, 'a'); INSERT INTO decks VALUES ('x', 1); INSERT INTO loud VALUES ('y');
        INSERT INTO tags VALUES ('t', 1);
        """,
        collation="unicase",
    )
    with Client(serve(path).ws) as client:
        subscribed, tables, end = snapshot(client)
        assert sorted(subscribed["tables"]) == ["cards", "decks", "loud", "tags"]
        unreadable = {each["table"]: each["error"] for each in end["unreadable"]}
        assert "loud" in unreadable and "shout" in unreadable["loud"]
        # In SQLite's words; without the collation it finds no way through a table WITHOUT ROWID that is sorted by it.
        assert unreadable["decks"]
        assert set(end["tables"]) == {"cards", "decks", "loud", "tags"} - set(unreadable)
        assert [row for _, row in tables["cards"]] == [{"id": 1, "text": "a"}]
        # The subscription goes on.
        connection.execute("INSERT INTO cards VALUES (2, 'b')")
        assert client.message("table:modified")["data"]["tableName"] == "cards"


def test_a_table_renamed_away_and_back_is_not_silently_stale(serve, tmp_path):
    path = tmp_path / "names.db"
    connection = make(path, "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)")
    server = serve(path)
    with Client(server.ws) as client:
        subscribed, _, _ = snapshot(client, tables=["t"])
        connection.execute("ALTER TABLE t RENAME TO x")
        assert client.receive()["data"]["previousName"] == "t"
        connection.execute("UPDATE x SET v = 2")
        connection.executescript("BEGIN; ALTER TABLE x RENAME TO t; INSERT INTO t VALUES (2, 2); COMMIT")
        back = [client.receive(), client.receive()]
        assert back[0]["data"]["previousName"] == "x" and not back[0]["data"]["transaction"]["last"]
        rows = back[1]["data"]
        assert (rows["tableName"], rows["change"], rows["rowsOmitted"]) == ("t", "rows", True)
        assert rows["inserted"] == rows["updated"] == rows["deleted"] == 0 and rows["transaction"]["last"]
    # Within a gap too, and without the schema among the operations.
    for data, expected in [({}, 3), ({"operations": ["insert", "update"]}, 1), ({"operations": ["schema"]}, 2)]:
        with Client(server.ws) as client:
            client.send("subscribe", channel="tables", id="s", tables=["t"], rows="values", since=subscribed["position"], **data)
            messages = [client.message("table:modified") for _ in range(expected)]
            assert messages[-1]["data"].get("rowsOmitted", False) is ("operations" not in data or "insert" in data["operations"])
            client.send("heartbeat", id="end")
            assert client.receive()["type"] == "heartbeat"
