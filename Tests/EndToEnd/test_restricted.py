"""What a token with a list of tables receives: nothing of any other table, whichever way it comes."""

import json
import os
import shutil
import sqlite3
import urllib.error
import urllib.request

import pytest

from processes import LIMIT, write_tokens
from sockets import Client, EventStream

ADMIN, GIL, SEE, EVE = ("admin-" + 20 * "x", "gil-" + 20 * "x", "see-" + 20 * "x", "eve-" + 20 * "x")
TOKENS = [
    {"token": ADMIN, "role": "admin", "username": "ada"},
    {"token": GIL, "role": "read-write", "username": "gil", "tables": ["open", "shown", "moved"]},
    {"token": SEE, "username": "see", "tables": ["open"], "channels": ["queries", "tables", "collaboration"]},
    {"token": EVE, "username": "eve"},
]
SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE canary(canary INTEGER PRIMARY KEY);
    CREATE TABLE open(id INTEGER PRIMARY KEY, v, c REFERENCES canary(canary), CHECK (v <> 'x'));
    CREATE INDEX open_v ON open(v);
    CREATE TRIGGER open_t AFTER DELETE ON open BEGIN INSERT INTO canary VALUES (old.id); END;
    CREATE VIEW shown AS SELECT canary AS a FROM canary;
"""


@pytest.fixture
def guarded(serve, tmp_path):
    database = tmp_path / "guarded.db"
    connection = sqlite3.connect(database)
    connection.executescript(SCHEMA)
    connection.close()
    tokens = tmp_path / "tokens.json"
    write_tokens(tokens, TOKENS)
    server = serve(database, "--tokens", tokens)
    server.database = database
    return server


def open_client(server, token):
    return Client(server.ws, additional_headers={"Authorization": f"Bearer {token}"})


def ask(server, path, token, body=None):
    request = urllib.request.Request(server.http + path, data=None if body is None else json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {token}")
    try:
        response = urllib.request.urlopen(request, timeout=LIMIT)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, response.read().decode()


def collect(client, last):
    """Every message up to one that satisfies `last`."""
    messages = []
    while not messages or not last(messages[-1]):
        messages.append(client.receive())
    return messages


def silent(messages):
    text = json.dumps(messages)
    assert "canary" not in text, text
    return messages


# Each is a transaction of another process; the last row of `open` says that all of them have come.
CHANGES = [
    "INSERT INTO canary VALUES (7)",
    "CREATE TABLE canary2(a); INSERT INTO canary2 VALUES ('canary')",
    "CREATE TRIGGER open_canary_free AFTER INSERT ON open BEGIN INSERT INTO canary VALUES (new.id + 100); END",
    "INSERT INTO open VALUES (1, 'a', NULL)",
    "DROP TRIGGER open_canary_free",
    "DROP VIEW shown; CREATE VIEW shown AS SELECT a AS b FROM canary2",
    # SQLite rewrites the foreign key, the trigger and the view.
    "ALTER TABLE canary RENAME TO canary3",
    "ALTER TABLE canary3 RENAME COLUMN canary TO canary4",
    "ALTER TABLE canary2 RENAME TO moved",
    "ALTER TABLE moved ADD COLUMN b",
    "INSERT INTO moved VALUES ('b', 1)",
    "ALTER TABLE moved RENAME TO canary5",
    "INSERT INTO canary5 VALUES ('canary', 2)",
    "BEGIN; ALTER TABLE canary5 RENAME TO moved; UPDATE moved SET a = 'c' WHERE a = 'canary'; COMMIT",
    "BEGIN; ALTER TABLE moved RENAME TO canary6; CREATE TABLE moved(z); INSERT INTO moved VALUES ('d'); COMMIT",
    "CREATE INDEX moved_i ON moved(z); DROP TABLE moved",
    "DROP TABLE canary6",
    "INSERT INTO open VALUES (2, 'end', NULL)",
]


def change(server):
    for sql in CHANGES:
        # `open_canary_free` is the name of a trigger, and belongs to the table that may be seen.
        connection = sqlite3.connect(server.database, isolation_level=None)
        connection.executescript(sql.replace("open_canary_free", "open_free"))
        connection.close()


def is_end(message):
    return any(row.get("after", {}).get("v") == "end" for row in message["data"].get("rows") or [])


def steps(messages):
    """What happened to each table, in short."""
    return [
        (m["type"].split(":")[1], m["data"]["tableName"], m["data"].get("change"), m["data"].get("rowsOmitted"))
        for m in messages
        if m["type"].startswith("table:")
    ]


EXPECTED = [
    ("modified", "open", "schema", None), ("modified", "open", "rows", None), ("modified", "open", "schema", None),
    ("modified", "moved", "schema", None), ("modified", "moved", "rows", None), ("dropped", "moved", None, None),
    ("created", "moved", None, None), ("modified", "moved", "rows", True), ("dropped", "moved", None, None),
]  # fmt: skip


def test_the_feed_names_no_other_table(guarded):
    with open_client(guarded, GIL) as client:
        position = client.subscribe("tables", rows="values")["position"]
        change(guarded)
        live = silent(collect(client, is_end))
        seen = steps(live)
        for step in EXPECTED:
            assert step in seen, (step, seen)
        # A table that arrives by its name brings no rows, which have to be read; one that leaves is gone.
        moved = [step for step in seen if step[1] == "moved"]
        arrival = moved.index(("created", "moved", None, None))
        assert moved[arrival + 1] == ("modified", "moved", "rows", True)
        assert not any("previousName" in m["data"] or "sql" in m["data"] for m in live)
        client.send("subscribe", channel="tables", id="again", rows="values", since=position)
        replayed = silent(collect(client, is_end))
        assert steps(replayed) == seen
    with EventStream(f"{guarded.http}/events?rows=values&since={position}&access_token={GIL}") as events:
        messages = []
        while not messages or not is_end(messages[-1]):
            messages.append(events.receive())
        assert steps(silent(messages)) == seen
    with open_client(guarded, EVE) as client:
        client.send("subscribe", channel="tables", id="all", rows="values", since=position)
        assert "canary" in json.dumps(collect(client, is_end))


def test_a_snapshot_and_the_description_of_a_table_name_no_other(guarded):
    with open_client(guarded, GIL) as client:
        client.send("subscribe", channel="tables", id="s", rows="values", snapshot=True)
        client.query("INSERT INTO open(v) VALUES ('end')", "q")
        silent([client.acknowledgement])
    silent(ask(guarded, "/tables", GIL))
    status, body = ask(guarded, "/tables/open", GIL)
    assert status == 200
    description = json.loads(silent(body))
    assert [column["name"] for column in description["columns"]] == ["id", "v", "c"]
    assert description["foreignKeys"] == [] and "sql" not in description
    assert [list(trigger) for trigger in description["triggers"]] == [["name"]]
    assert "canary" in ask(guarded, "/tables/open", EVE)[1]
    # The view needs a table that is not there: to others it is said which.
    sqlite3.connect(guarded.database).executescript("PRAGMA legacy_alter_table = 1; ALTER TABLE canary RENAME TO canary2")
    silent(ask(guarded, "/tables/shown", GIL))
    assert "canary" in ask(guarded, "/tables/shown", EVE)[1]


def test_what_happens_to_the_file_is_said_without_its_details(guarded):
    with open_client(guarded, GIL) as gil, open_client(guarded, ADMIN) as admin:
        os.rename(guarded.database, guarded.database.with_name("canary.db"))
        assert "guarded.db" in admin.message("database:gone")["data"]["message"]
        gone = gil.message("database:gone")
        shutil.copy(guarded.database.with_name("canary.db"), guarded.database)
        back = collect(gil, lambda message: message["type"] == "database:epoch")
        for message in [gone, *back]:
            if message["type"] in ("database:gone", "database:epoch"):
                assert message["data"]["message"] == "the details are hidden from a token with a list of tables"
        assert "guarded.db" not in json.dumps(silent([gone, *back]))


def test_one_that_is_not_allowed_is_like_one_that_is_not_there(guarded):
    def answers(name):
        texts = [ask(guarded, f"/tables/{name}", GIL), ask(guarded, f"/tables?name={name}", GIL), ask(guarded, f"/events?tables={name}", GIL)]
        for sql in (f"SELECT * FROM {name}", f"SELECT nothing FROM {name}", f"DELETE FROM {name}", f"CREATE VIRTUAL TABLE {name} USING fts5(a)", f"PRAGMA table_info({name})"):
            status, body = ask(guarded, "/query", GIL, {"sql": sql})
            document = json.loads(body)
            del document["queryId"]
            texts.append((status, json.dumps(document)))
        with open_client(guarded, GIL) as client:
            for data in ({"tables": [name]}, {"tables": [name], "snapshot": True}, {"tables": [name[:4] + "*"]}):
                client.send("subscribe", channel="tables", id="s", **data)
                texts.append(client.message("error")["data"])
        return json.dumps(texts)

    assert answers("canary") == answers("nobody").replace("nobody", "canary").replace("nobo*", "cana*")


def test_cursors_and_drafts_are_for_those_who_may_read_as_much(guarded):
    with open_client(guarded, ADMIN) as ada, open_client(guarded, GIL) as gil, open_client(guarded, EVE) as eve, open_client(guarded, GIL) as other:
        gil.subscribe("collaboration")
        eve.subscribe("collaboration")
        other.subscribe("collaboration")

        def move(client, **data):
            client.send("user:cursor", **data)
            return eve.message("user:cursor")["data"]

        draft = "SELECT * FROM canary"
        # Each is seen by a client without a list before the next goes out: the newest would win otherwise.
        assert move(ada, position={"line": 0, "column": 3}, text=draft)["text"] == draft
        assert move(ada, table="canary", row=7, column="canary")["table"] == "canary"
        assert move(ada, table="open", row=1, column="v")["row"] == 1
        # gil's own draft can hold nothing that the other client of his may not read.
        assert move(gil, position={"line": 1, "column": 1}, text="SELECT 'gil'")["text"] == "SELECT 'gil'"
        seen = silent(collect(other, lambda m: m["data"].get("text") == "SELECT 'gil'"))
        cursors = [m["data"] for m in seen if m["type"] == "user:cursor"]
        assert [(c.get("position"), c.get("table"), c.get("text")) for c in cursors] == [
            ({"line": 0, "column": 3}, None, None), (None, "open", None), ({"line": 1, "column": 1}, None, "SELECT 'gil'"),
        ]  # fmt: skip
        move(ada, table="canary", row=7, column="canary")
        with open_client(guarded, GIL) as late:
            late.subscribe("collaboration")
            users = silent(late.message("user:list"))["data"]["users"]
            assert "cursor" not in next(user for user in users if user["username"] == "ada")
        move(ada, position={"line": 0, "column": 4}, text=draft)
        with open_client(guarded, GIL) as late:
            late.subscribe("collaboration")
            users = silent(late.message("user:list"))["data"]["users"]
            assert next(user for user in users if user["username"] == "ada")["cursor"] == {"position": {"line": 0, "column": 4}}
        with open_client(guarded, EVE) as late:
            late.subscribe("collaboration")
            assert draft in json.dumps(late.message("user:list"))
    with EventStream(f"{guarded.http}/events?channels=collaboration&access_token={GIL}") as events:
        events.message("user:list")
        with open_client(guarded, ADMIN) as ada:
            ada.send("user:cursor", position={"line": 0, "column": 3}, text=draft)
            assert "text" not in events.message("user:cursor")["data"]


def test_the_channel_of_queries_carries_those_of_the_same_identity(guarded):
    with open_client(guarded, ADMIN) as ada, open_client(guarded, SEE) as see, open_client(guarded, SEE) as own:
        see.subscribe("queries")
        ada.query("SELECT count(*) FROM canary", "canary-1")
        ada.query("SELECT nothing FROM canary", "canary-2")
        own.query("SELECT 'own'", "mine")
        messages = silent(collect(see, lambda m: m["type"] == "query:complete"))
        assert {m["data"]["queryId"] for m in messages if m["channel"] == "queries"} == {"mine"}
        # Nor is there a way to find out what others run.
        ada.send("query:execute", queryId="slow", sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
        ada.message("query:started")
        for name in ("slow", "nobody"):
            see.send("query:cancel", id=name, queryId=name)
            error = see.message("error", where=lambda m: m.get("replyTo") == name)["data"]
            assert (error["code"], error["message"]) == ("QUERY_NOT_FOUND", f'no query with the id "{name}" is queued or running')
    with open_client(guarded, GIL) as gil:
        gil.send("subscribe", channel="queries", id="s")
        assert gil.message("error")["data"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM open", "PRAGMA foreign_keys = ON; INSERT INTO open(c) VALUES (99); SELECT 1", "SELECT * FROM shown",
        "PRAGMA foreign_key_list(open)", "PRAGMA foreign_key_check(open)", "SELECT * FROM pragma_foreign_key_list('open')",
        "EXPLAIN QUERY PLAN DELETE FROM open", "EXPLAIN DELETE FROM open", "PRAGMA optimize(-1)", "PRAGMA table_list",
    ],
)  # fmt: skip
def test_what_reaches_further_is_refused_and_names_nothing(guarded, sql):
    sqlite3.connect(guarded.database).executescript("INSERT INTO open VALUES (1, 'a', NULL)")
    with open_client(guarded, GIL) as client:
        rows, end = client.query(sql, "q", atomic=False)
        assert end["type"] == "query:error", (rows, end)
        silent([rows, end])
    status, body = ask(guarded, "/query", GIL, {"sql": sql, "atomic": False})
    assert status == 403
    silent(body)
