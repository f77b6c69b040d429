"""Row rules, with the real binary: what a token with rules receives, on every road, and what it is refused."""

import base64
import json
import signal
import sqlite3
import time
import urllib.parse

import pytest
from websockets.exceptions import ConnectionClosed

from contract import check_schema
from issuer import Key, claims, publishing, token
from processes import LIMIT, write_tokens
from sockets import Client, EventStream
from test_access import ask, bearer, refused

ROOT, ADA, BOB, TEAM = (f"{name}-" + 20 * "x" for name in ("root", "ada", "bob", "team"))
OWN = {"note": "owner = :sub"}
TOKENS = [
    {"token": ROOT, "role": "admin"},
    {"token": ADA, "role": "read-write", "username": "ada", "rules": OWN, "claims": {"sub": "ada"}},
    {"token": BOB, "username": "bob", "rules": OWN, "claims": {"sub": "bob"}},
    {
        "token": TEAM, "role": "admin", "username": "tim", "tables": ["note", "public", "plain", "counted", "one", "through"],
        "rules": {"note": {"where": "owner IN (:first, 'bob') AND size > :least -- a comment"}}, "claims": {"first": "ada", "least": 5},
    },
]  # fmt: skip
SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT, text TEXT, size INTEGER);
CREATE INDEX note_size ON note (size);
CREATE INDEX note_expression ON note (abs(size));
CREATE TABLE public (id INTEGER PRIMARY KEY, v);
CREATE TABLE other (id INTEGER PRIMARY KEY, v);
CREATE TABLE pairs (a TEXT, b INTEGER, owner TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE VIEW plain AS SELECT * FROM public;
CREATE VIEW counted AS SELECT count(*) AS n FROM note;
CREATE VIEW one AS SELECT 1 AS one FROM note;
CREATE VIEW through AS SELECT text FROM note;
INSERT INTO note VALUES (1, 'ada', 'a1', 10), (2, 'bob', 'b1', 20), (3, 'ada', 'a2', 3), (4, 'eve', 'e1', 40), (5, NULL, 'n1', 50);
INSERT INTO public VALUES (1, 'x'), (2, 'y');
INSERT INTO other VALUES (1, 'z');
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "notes.db"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.close()
    return path


@pytest.fixture
def tokens(tmp_path):
    return write_tokens(tmp_path / "tokens.json", TOKENS)


@pytest.fixture
def ruled(serve, database, tokens):
    return serve(database, "--tokens", tokens)


def as_user(server, who):
    return Client(server.ws, **bearer(who))


def rows_of(client, sql, **data):
    rows, end = client.query(sql, f"q{time.monotonic_ns()}", rowFormat="arrays", **data)
    assert end["type"] == "query:complete", (sql, end)
    return rows


def error_of(client, sql):
    rows, end = client.query(sql, f"q{time.monotonic_ns()}")
    assert rows == [] and end["type"] == "query:error", (sql, rows, end)
    return end["data"]


def write(server, sql):
    status, _, body = ask(server, "/query", ROOT, {"sql": sql})
    assert status == 200, body


def changes(client, count):
    """The rows of the next messages of changes, as (operation, key, before, after)."""
    found = []
    while len(found) < count:
        data = client.message("table:modified")["data"]
        listed = data["rows"]
        assert data["inserted"] + data["updated"] + data["deleted"] == len(listed)
        found += [(row["op"], row["key"], row.get("before"), row.get("after")) for row in listed]
        assert all("filter" not in row for row in listed)
    return found


def note(id, owner, text, size):
    return {"id": id, "owner": owner, "text": text, "size": size}


def test_a_query_sees_the_permitted_rows_alone(ruled):
    with as_user(ruled, ADA) as ada, as_user(ruled, BOB) as bob, as_user(ruled, TEAM) as team, as_user(ruled, ROOT) as root:
        for _ in range(3):
            # Whatever the reader ran before, for whom.
            assert rows_of(ada, "SELECT id FROM note ORDER BY id") == [[1], [3]]
            assert rows_of(bob, "SELECT id FROM note ORDER BY id") == [[2]]
            assert rows_of(team, "SELECT id FROM note ORDER BY id") == [[1], [2]]
            assert rows_of(root, "SELECT count(*) FROM note") == [[5]]
        assert rows_of(ada, "SELECT count(*), sum(size), max(id) FROM note") == [[2, 13, 3]]
        assert rows_of(ada, "SELECT text FROM NOTE WHERE id = 2") == []
        assert rows_of(ada, "SELECT a.id FROM note a JOIN note b ON a.id < b.id") == [[1]]
        assert rows_of(ada, "WITH n AS (SELECT * FROM note) SELECT count(*) FROM n") == [[2]]
        assert rows_of(ada, "SELECT (SELECT count(*) FROM note), EXISTS (SELECT 1 FROM note WHERE size > 30)") == [[2, 0]]
        assert rows_of(ada, "SELECT id FROM note WHERE text = ?", params=["a1"]) == [[1]]
        assert rows_of(ada, "SELECT 1; SELECT id FROM note WHERE owner <> 'ada'") == [[1]]
        assert rows_of(team, "SELECT v FROM public ORDER BY id") == [["x"], ["y"]]
        assert rows_of(team, "SELECT v FROM plain ORDER BY id") == [["x"], ["y"]]
        assert rows_of(team, "SELECT count(*) FROM public LEFT JOIN note ON note.id = public.id") == [[2]]
    status, _, body = ask(ruled, "/query", ADA, {"sql": "SELECT id FROM note"})
    assert status == 200 and [row["id"] for row in json.loads(body)["results"][0]["rows"]] == [1, 3], body


# Each of them would tell about a hidden row, or how rules work.
BYPASSES = [
    "SELECT * FROM main.note",
    "SELECT count(*) FROM main.note",
    "SELECT 1 FROM main.note",
    "WITH note AS (SELECT * FROM main.note) SELECT * FROM note",
    "WITH rule_ AS (SELECT * FROM main.note) SELECT * FROM rule_",
    "SELECT * FROM (SELECT * FROM main.note) AS note",
    "SELECT * FROM note o JOIN main.note m ON 1",
    "SELECT (SELECT max(size) FROM main.note)",
    "SELECT 5 IN main.note",
    # Views of the file, with and without columns.
    "SELECT n FROM counted",
    "SELECT 1 FROM counted",
    "SELECT count(*) FROM one",
    "SELECT 1 FROM one",
    "SELECT one FROM main.one",
    "SELECT 1 FROM through",
    "SELECT text FROM through",
    # What the temporary schema says.
    "SELECT name FROM sqlite_temp_master",
    "SELECT sql FROM sqlite_temp_schema",
    "SELECT 1 FROM sqlite_temp_master",
    "SELECT * FROM temp.sqlite_schema",
    "SELECT * FROM sqlite_schema",
    "PRAGMA table_list",
    "SELECT * FROM pragma_table_list",
    "SELECT * FROM pragma_table_info('note')",
    "PRAGMA page_count",
    "PRAGMA integrity_check",
    "PRAGMA temp_store",
    "PRAGMA query_only = 0",
    "EXPLAIN SELECT * FROM note",
    "EXPLAIN QUERY PLAN SELECT * FROM note",
    "SELECT rowid FROM note",
    "SELECT id FROM note WHERE rowid = 2",
    "SELECT tablecast_claim('sub')",
    "SELECT sqlite_offset(id), tablecast_claim('sub') FROM note",
    "SELECT * FROM other",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    # Writes.
    "INSERT INTO note VALUES (9, 'ada', 't', 1)",
    "UPDATE note SET text = 'x'",
    "UPDATE main.note SET text = 'x'",
    "DELETE FROM note RETURNING *",
    "DELETE FROM main.note WHERE abs(-9223372036854775807 - (size > 25)) > 0",
    "INSERT INTO public SELECT 9, text FROM main.note",
    "CREATE TABLE copy AS SELECT * FROM main.note",
    "CREATE TEMP TABLE copy AS SELECT * FROM main.note",
    "CREATE TEMP VIEW v AS SELECT * FROM main.note",
    "DROP VIEW temp.note",
    "DROP VIEW note",
    "CREATE VIEW w AS SELECT * FROM note",
    "BEGIN",
    "SAVEPOINT s",
    "ATTACH ':memory:' AS m",
    "VACUUM INTO '/tmp/never'",
    "ANALYZE",
    "REINDEX",
]


@pytest.mark.parametrize("who", [ADA, TEAM])
def test_no_way_around_a_rule(ruled, who):
    with as_user(ruled, who) as client:
        for sql in BYPASSES:
            error = error_of(client, sql)
            assert error["code"] in ("NOT_AUTHORIZED", "READ_ONLY", "SQL_ERROR"), (sql, error)
            assert "rule_" not in error["error"].replace("rule_ ", ""), error
        # With more statements around it, and over HTTP.
        for sql in BYPASSES[:8]:
            assert client.query(f"SELECT 1; {sql}", f"s{time.monotonic_ns()}")[1]["type"] == "query:error"
            assert ask(ruled, "/query", who, {"sql": sql})[0] in (400, 403)
        assert rows_of(client, "SELECT count(*) FROM note") == [[2]]
    with as_user(ruled, ROOT) as root:
        assert rows_of(root, "SELECT count(*) FROM note") == [[5]] and rows_of(root, "SELECT count(*) FROM public") == [[2]]


def test_errors_do_not_tell_about_hidden_rows(ruled):
    # Sizes that the rule hides are 20, 40 and 50: an expression that fails on them must not run on them.
    with as_user(ruled, ADA) as client:
        for expression in (
            "abs(-9223372036854775807 - (size > {n}))", "json_extract(CASE WHEN size > {n} THEN 'x' ELSE '{{}}' END, '$')",
            "abs(CASE WHEN abs(size) > {n} THEN -9223372036854775808 ELSE 1 END)",
        ):  # fmt: skip
            for n in (15, 25, 45, 60):
                for sql in (
                    "SELECT count(*) FROM note WHERE size > 0 AND {e} IS NOT 0", "SELECT id FROM note WHERE {e} IS NOT 0 AND size = {n}",
                    "SELECT max({e}) FROM note", "SELECT {e} FROM note ORDER BY {e}", "SELECT count(*) FROM note GROUP BY {e} HAVING {e} IS NOT 0",
                    "SELECT count(*) FROM note a JOIN note b ON a.size = b.size AND {e} IS NOT 0".replace("{e}", "{j}"),
                ):  # fmt: skip
                    e = expression.format(n=n)
                    query = sql.format(e=e, n=n, j=e.replace("size", "a.size").replace("abs(a.", "abs(a."))
                    assert client.query(query, f"e{time.monotonic_ns()}")[1]["type"] == "query:complete", query


def test_a_feed_shows_the_permitted_rows_as_if_no_others_existed(ruled, shell, database):
    with as_user(ruled, ADA) as ada, as_user(ruled, BOB) as bob:
        for client in (ada, bob):
            client.subscribe("tables", tables=["*"], rows="values")
        write(ruled, "INSERT INTO note VALUES (6, 'eve', 'hidden', 1), (7, 'ada', 'mine', 2), (8, 'bob', 'his', 3)")
        assert changes(ada, 1) == [("insert", {"id": 7}, None, note(7, "ada", "mine", 2))]
        assert changes(bob, 1) == [("insert", {"id": 8}, None, note(8, "bob", "his", 3))]
        # A row that leaves is a delete, one that enters an insert, without the other's values.
        write(ruled, "UPDATE note SET owner = 'bob', text = 'now his' WHERE id = 7")
        assert changes(ada, 1) == [("delete", {"id": 7}, note(7, "ada", "mine", 2), None)]
        assert changes(bob, 1) == [("insert", {"id": 7}, None, note(7, "bob", "now his", 2))]
        shell(database, "UPDATE note SET text = 'foreign' WHERE id IN (1, 4, 7)")
        assert changes(ada, 1) == [("update", {"id": 1}, note(1, "ada", "a1", 10), note(1, "ada", "foreign", 10))]
        assert changes(bob, 1) == [("update", {"id": 7}, note(7, "bob", "now his", 2), note(7, "bob", "foreign", 2))]
        shell(database, "DELETE FROM note WHERE id IN (1, 4); UPDATE note SET owner = 'eve' WHERE owner = 'eve'; INSERT INTO other VALUES (2, 2)")
        assert changes(ada, 1) == [("delete", {"id": 1}, note(1, "ada", "foreign", 10), None)]
        write(ruled, "UPDATE note SET size = 99 WHERE id IN (2, 3)")
        assert changes(ada, 1) == [("update", {"id": 3}, note(3, "ada", "a2", 3), note(3, "ada", "a2", 99))]


def test_the_counts_of_a_feed_are_those_of_the_permitted_rows(ruled):
    with as_user(ruled, ADA) as ada:
        ada.subscribe("tables")
        write(ruled, "UPDATE note SET size = size + 1")
        data = ada.message("table:modified")["data"]
        assert (data["inserted"], data["updated"], data["deleted"]) == (0, 2, 0) and "rows" not in data
        write(ruled, "DELETE FROM note WHERE owner = 'eve'")
        write(ruled, "DELETE FROM note WHERE id < 3")
        data = ada.message("table:modified")["data"]
        assert (data["inserted"], data["updated"], data["deleted"]) == (0, 0, 1)


def test_a_condition_applies_to_the_permitted_rows(ruled):
    with as_user(ruled, ADA) as ada:
        # The condition of the client has a parameter of the same name as the claim.
        ada.subscribe("tables", tables=["note"], rows="values", where="size > :sub OR owner = 'bob'", params={"sub": 5})
        write(ruled, "INSERT INTO note VALUES (6, 'bob', 'b', 50), (7, 'ada', 'small', 1), (8, 'ada', 'large', 9)")
        assert changes(ada, 1) == [("insert", {"id": 8}, None, note(8, "ada", "large", 9))]
        # Its errors say nothing of other rows.
        ada.subscribe("tables", tables=["note"], rows="values", where="abs(-9223372036854775807 - (size > 100)) > 0")
        write(ruled, "INSERT INTO note VALUES (9, 'bob', 'b', 500)")
        write(ruled, "INSERT INTO note VALUES (10, 'ada', 'a', 5)")
        data = ada.message("table:modified")["data"]
        assert "rowsOmitted" not in data and data["rows"][0]["key"] == {"id": 10}


def snapshot(client, **data):
    client.send("subscribe", channel="tables", id="s", snapshot=True, **data)
    rows = {}
    while True:
        message = client.receive()
        if message["type"] == "table:snapshot":
            rows.setdefault(message["data"]["tableName"], []).extend(message["data"]["rows"])
        if message["type"] in ("snapshot:end", "error"):
            return rows, message


def test_a_snapshot_has_the_permitted_rows(ruled):
    with as_user(ruled, ADA) as ada, as_user(ruled, TEAM) as team:
        rows, end = snapshot(ada)
        assert [row["id"] for row in rows["note"]] == [1, 3] and list(rows) == ["note"]
        assert end["data"]["unreadable"] == []
        rows, _ = snapshot(team)
        assert [row["id"] for row in rows["note"]] == [1, 2] and len(rows["public"]) == 2
        rows, _ = snapshot(ada, tables=["note"], where="size > :sub", params={"sub": 5})
        assert [row["id"] for row in rows["note"]] == [1]
        rows, end = snapshot(ada, tables=["note"], where="abs(-9223372036854775807 - (size > 15)) > 0 OR 1")
        assert [row["id"] for row in rows["note"]] == [1, 3] and end["data"]["unreadable"] == []


def test_tables_without_a_rowid_key_and_without_rowids(serve, database, tmp_path):
    connection = sqlite3.connect(database)
    connection.executescript(
        "CREATE TABLE loose (owner, v); INSERT INTO loose VALUES ('ada', 1), ('bob', 2), ('ada', 3);"
        "INSERT INTO pairs VALUES ('x', 1, 'ada'), ('x', 2, 'bob');"
    )
    connection.close()
    path = tmp_path / "t.json"
    write_tokens(path, [{"token": ADA, "rules": {"loose": "owner = 'ada'", "pairs": "owner = 'ada'"}}, {"token": ROOT, "role": "admin"}])
    server = serve(database, "--tokens", path)
    with as_user(server, ADA) as ada:
        rows, end = snapshot(ada, rows="values")
        assert rows == {"loose": [{"owner": "ada", "v": 1}, {"owner": "ada", "v": 3}], "pairs": [{"a": "x", "b": 1, "owner": "ada"}]}
        write(server, "UPDATE loose SET v = 9; UPDATE pairs SET b = b + 10")
        seen = {}
        while len(seen) < 2:
            data = ada.message("table:modified")["data"]
            seen[data["tableName"]] = data["rows"]
        assert [row["rowid"] for row in seen["loose"]] == [1, 3]
        assert sorted(row["op"] for row in seen["pairs"]) == ["delete", "insert"]
        assert rows_of(ada, "SELECT b FROM pairs") == [[11]]


def test_a_resume_replays_the_permitted_rows(ruled):
    with as_user(ruled, ADA) as ada:
        ada.subscribe("tables", rows="values")
        write(ruled, "INSERT INTO note VALUES (6, 'ada', 'first', 1)")
        position = ada.message("table:modified")["position"]
    write(ruled, "INSERT INTO note VALUES (7, 'bob', 'hidden', 1)")
    write(ruled, "UPDATE note SET owner = 'bob' WHERE id = 6")
    with as_user(ruled, ADA) as ada:
        assert ada.subscribe("tables", rows="values", since=position)["data"]["recovered"] is True
        assert changes(ada, 1) == [("delete", {"id": 6}, note(6, "ada", "first", 1), None)]
    with as_user(ruled, BOB) as bob:
        bob.subscribe("tables", rows="values", since=position)
        assert changes(bob, 2) == [
            ("insert", {"id": 7}, None, note(7, "bob", "hidden", 1)), ("insert", {"id": 6}, None, note(6, "bob", "first", 1)),
        ]  # fmt: skip


def test_an_event_stream_has_the_permitted_rows(ruled):
    with EventStream(f"{ruled.http}/events?rows=values&access_token={ADA}") as events:
        events.message("subscribed")
        write(ruled, "UPDATE note SET size = 7")
        data = events.message("table:modified")["data"]
        assert [row["key"]["id"] for row in data["rows"]] == [1, 3] and data["updated"] == 2


def test_a_token_with_rules_does_not_see_queries_of_others(ruled):
    with as_user(ruled, ADA) as ada:
        ada.send("subscribe", channel="queries", id="q")
        assert ada.message("error")["data"]["code"] == "FORBIDDEN"


def written(client, op, **data):
    """The answer to `row:write` on `note`."""
    client.send("row:write", id="w", table="note", op=op, **data)
    while (message := client.receive())["type"] not in ("row:written", "error"):
        pass
    return message["data"]


def test_rows_that_the_rule_permits_are_written(ruled):
    with as_user(ruled, ADA) as ada, as_user(ruled, BOB) as bob, as_user(ruled, ADA) as watcher:
        assert "write" in ada.acknowledgement["data"]["serverInfo"]["capabilities"]
        assert "write" not in bob.acknowledgement["data"]["serverInfo"]["capabilities"]
        watcher.subscribe("tables", rows="values")
        answer = written(ada, "update", key={"id": 1}, before={"text": "a1"}, values={"text": "new"})
        assert answer["row"] == note(1, "ada", "new", 10)
        assert written(ada, "insert", values={"id": 9, "owner": "ada", "size": 7})["changes"] == 1
        assert written(ada, "delete", key={"id": 3})["changes"] == 1
        assert [change[:2] for change in changes(watcher, 3)] == [("update", {"id": 1}), ("insert", {"id": 9}), ("delete", {"id": 3})]
        conflict = written(ada, "update", key={"id": 1}, before={"text": "a1"}, values={"text": "x"})
        assert conflict["code"] == "CONFLICT" and conflict["details"]["row"] == note(1, "ada", "new", 10)
        # A hidden row is one that does not exist.
        answers = []
        for id in (2, 4, 5, 99):
            for op, data in (("update", {"values": {"owner": "ada"}}), ("delete", {}), ("delete", {"before": {"size": 20}})):
                answer = written(ada, op, key={"id": id}, queryId="same", **data)
                answers.append(json.dumps(answer, sort_keys=True))
        assert len(set(answers)) == 1 and json.loads(answers[0])["code"] == "CONFLICT", answers
        # And no row can be given away.
        for op, data in (("update", {"key": {"id": 1}, "values": {"owner": "bob"}}), ("insert", {"values": {"owner": "bob"}}), ("insert", {"values": {}})):
            answer = written(ada, op, **data)
            assert answer["code"] == "NOT_AUTHORIZED" and "row" not in answer["details"], answer
        assert written(ada, "insert", values={"id": 2, "owner": "ada"})["code"] == "CONSTRAINT"
        assert written(bob, "delete", key={"id": 2})["code"] == "READ_ONLY"
        assert rows_of(bob, "SELECT * FROM note") == [[2, "bob", "b1", 20]]
    status, _, body = ask(ruled, "/row", ADA, {"table": "note", "op": "delete", "key": {"id": 2}})
    assert status == 409 and json.loads(body)["row"] is None
    assert ask(ruled, "/row", ADA, {"table": "note", "op": "delete", "key": {"id": 9}})[0] == 200
    assert ask(ruled, "/row", ADA, {"table": "other", "op": "delete", "key": {"id": 1}})[0] == 403


def test_a_check_of_its_own_decides_about_the_new_row(serve, database, tmp_path):
    path = tmp_path / "t.json"
    rule = {"where": "owner = :sub", "check": "owner IN (:sub, 'bob') AND size < 100"}
    write_tokens(path, [{"token": ADA, "role": "read-write", "rules": {"note": rule}, "claims": {"sub": "ada"}}])
    with as_user(serve(database, "--tokens", path), ADA) as ada:
        assert written(ada, "update", key={"id": 1}, values={"size": 100})["code"] == "NOT_AUTHORIZED"
        given = written(ada, "update", key={"id": 1}, values={"owner": "bob"})
        assert given["changes"] == 1 and given["row"] is None
        assert rows_of(ada, "SELECT id FROM note") == [[3]]


def test_the_list_of_tables_counts_no_rows(ruled):
    listed = json.loads(ask(ruled, "/tables", TEAM)[2])["tables"]
    estimates = {table["name"]: table.get("rowEstimate") for table in listed}
    assert estimates["note"] is None and estimates["public"] == 2
    assert [table["name"] for table in json.loads(ask(ruled, "/tables", ADA)[2])["tables"]] == ["note"]
    assert "rowEstimate" not in json.loads(ask(ruled, "/tables/note", ADA)[2])
    assert "rowEstimate" not in json.loads(ask(ruled, "/tables/NOTE", ADA)[2])
    assert ask(ruled, "/tables/other", ADA)[0] == 403


def test_cursors_in_a_table_with_a_rule_are_seen_by_equals_alone(ruled):
    with as_user(ruled, ADA) as ada, as_user(ruled, TEAM) as team, as_user(ruled, ROOT) as root:
        for client in (ada, team):
            client.subscribe("collaboration")
        root.send("user:cursor", table="note", row=4, column="text")
        root.send("user:cursor", table="public", row=1, column="v")
        with as_user(ruled, ADA) as again:
            again.send("user:cursor", table="note", row=1, column="text")
            assert ada.message("user:cursor")["data"]["row"] == 1
        # Team sees neither the administrator's nor ada's cell.
        root.send("user:cursor", table="public", row=2, column="v")
        assert team.message("user:cursor")["data"]["table"] == "public"


def test_a_rule_that_no_longer_fits_shows_nothing(ruled, shell, database):
    with as_user(ruled, ADA) as ada:
        ada.subscribe("tables", rows="values")
        shell(database, "ALTER TABLE note RENAME COLUMN owner TO who")
        ada.message("table:modified")
        shell(database, "UPDATE note SET text = 'secret'")
        data = ada.message("table:modified")["data"]
        assert data["rowsOmitted"] is True and "rows" not in data and data["updated"] == 0
        assert "does not fit" in error_of(ada, "SELECT * FROM note")["error"]
        rows, end = snapshot(ada)
        assert rows == {} and "secret" not in json.dumps(end)
        # A table of the same name as before, which is another.
        shell(database, "DROP TABLE note; CREATE TABLE note (id INTEGER PRIMARY KEY, owner, x); INSERT INTO note VALUES (1, 'ada', 1), (2, 'bob', 2)")
        deadline = time.monotonic() + LIMIT
        while True:
            rows, end = ada.query("SELECT id FROM note", f"n{time.monotonic_ns()}")
            if end["type"] == "query:complete":
                break
            assert time.monotonic() < deadline
        assert rows == [{"id": 1}]


@pytest.mark.parametrize(
    "rules, words",
    [
        ({"note": ""}, "empty"), ({"note": "owner = :sub; DROP TABLE note"}, "one expression"), ({"note": "1) OR (1"}, "parenthesis"),
        ({"note": "owner = (SELECT 'ada')"}, "subqueries"), ({"note": "id IN other"}, "IN needs a list"),
        ({"note": "owner = ?"}, "names no claim"), ({"note": "owner = @sub"}, "names no claim"), ({"note": "size > random()"}, "random"),
        ({"note": '"ownr" = :sub'}, "double quotes"), ({"note": "size > unixepoch('now')"}, "time"), ({"note": 5}, "rules.note"),
        ({"note": {"when": "1"}}, '"when"'), ({"note": {}}, "where"), ({"note": {"check": "1"}}, "where"), ({"note": {"where": "1", "check": "owner = :tenant"}}, "claim tenant"),
        ({"note": {"where": "1", "check": "1) OR (1"}}, "rules.note.check"), ([], "rules: expected an object"), ({"": "1"}, "rules"),
        ({"note": "1", "NOTE": "0"}, "two for the table"), ({"note": "owner = :tenant"}, "claim tenant"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused_at_the_start(run, database, tmp_path, rules, words):
    path = tmp_path / "t.json"
    write_tokens(path, [{"token": ADA, "rules": rules, "claims": {"sub": "ada"}}])
    result = run("serve", database, "--port", 0, "--tokens", path)
    assert result.returncode == 64 and words in result.stderr, result.stderr


def test_a_rule_without_its_column_is_refused_by_name(serve, database, tmp_path):
    path = tmp_path / "t.json"
    write_tokens(path, [{"token": ADA, "rules": {"note": "ownr = 'ada'", "counted": "n > 0"}}])
    server = serve(database, "--tokens", path)
    with as_user(server, ADA) as ada:
        ada.send("subscribe", channel="tables", id="s", tables=["note"])
        error = ada.message("error")["data"]
        assert error["code"] == "FORBIDDEN" and "ownr" in error["message"]
        assert "does not fit" in error_of(ada, "SELECT * FROM note")["error"]
        assert error_of(ada, "SELECT * FROM counted")["code"] == "NOT_AUTHORIZED"
    for rule in ("counted is a view", "ownr"):
        assert "rule does not fit" in server.error_line(rule)


# MARK: JSON Web Tokens

KEY = Key("ES256", "one")


@pytest.fixture
def issuer():
    with publishing(KEY) as issuer:
        yield issuer


def made(**fields):
    return token(KEY, claims(**fields))


def test_claims_are_bound(serve, database, issuer):
    server = serve(database, "--jwt-keys", issuer.url, "--jwt-audience", "tablecast")
    own = {"role": "read-only", "rules": OWN}
    for subject, expected in (("ada", [[1], [3]]), ("bob", [[2]]), ("' OR 1 --", []), ("eve", [[4]])):
        with as_user(server, made(sub=subject, tablecast=own)) as client:
            assert rows_of(client, "SELECT id FROM note ORDER BY id") == expected
    typed = {"rules": {"note": "size >= :least AND :all AND typeof(:least) = 'integer'"}}
    with as_user(server, made(least=20, all=True, tablecast=typed)) as client:
        assert rows_of(client, "SELECT id FROM note ORDER BY id") == [[2], [4], [5]]
    # An array is no value that a rule can compare.
    for missing in ({}, {"tenant": None}, {"tenant": ["a"]}):
        text = made(tablecast={"rules": {"note": "owner = :tenant"}}, **missing)
        status, headers, body = ask(server, "/tables", text)
        assert status == 403 and "claim tenant" in json.loads(body)["error"] and "insufficient_scope" in headers["WWW-Authenticate"]
        assert refused(server, **bearer(text)).status_code == 403


def test_an_operator_writes_the_rules_and_the_provider_the_claims(serve, database, issuer, tmp_path):
    mapping = tmp_path / "claims.json"
    mapping.write_text(json.dumps({"rules": {"note": "owner = :name"}, "claims": {"name": ["app", "login"]}}))
    server = serve(database, "--jwt-keys", issuer.url, "--jwt-audience", "tablecast", "--jwt-claims", mapping)
    with as_user(server, made(app={"login": "bob"})) as client:
        assert rows_of(client, "SELECT id FROM note") == [[2]]
    assert ask(server, "/tables", made())[0] == 403


def test_other_claims_end_a_connection_at_its_renewal(serve, database, issuer):
    server = serve(database, "--jwt-keys", issuer.url, "--jwt-audience", "tablecast")
    own = {"username": "ada", "rules": {"note": "owner = :tenant"}}
    with as_user(server, made(tenant="ada", tablecast=own)) as client:
        client.subscribe("tables", rows="values")
        client.send("token:renew", id="r", token=made(tenant="ada", tablecast=own))
        client.message("token:renewed")
        assert rows_of(client, "SELECT count(*) FROM note") == [[2]]
        client.send("token:renew", id="r", token=made(tenant="bob", tablecast=own))
        client.message("token:renewed")
        with pytest.raises(Exception) as caught:
            while True:
                client.receive()
        assert caught.value.rcvd.code == 1001


def give_ada_other_claims(ruled, tokens, client):
    """Returns when her connection has ended."""
    changed = [{**entry, "claims": {"sub": "bob"}} if entry["token"] == ADA else entry for entry in TOKENS]
    write_tokens(tokens, changed)
    ruled.signal(signal.SIGHUP)
    with pytest.raises(ConnectionClosed):
        while True:
            client.receive()


def test_a_position_of_other_rights_is_not_resumed(ruled, database, tokens):
    """What the client has comes from the rules of before."""
    with as_user(ruled, ADA) as client:
        before = client.subscribe("tables", tables=["note"], rows="keys")["data"]
        give_ada_other_claims(ruled, tokens, client)
    resumed = {"since": before["position"], "resumes": before["subscription"]}
    with as_user(ruled, ADA) as client:
        answer = client.subscribe("tables", tables=["note"], rows="keys", **resumed)["data"]
        assert answer["recovered"] is False and answer["reason"] == "other-subscription"
        assert answer["subscription"] != before["subscription"]
        again = client.subscribe("tables", tables=["note"], rows="keys", since=before["position"], resumes=answer["subscription"])["data"]
        assert again["recovered"] is True
    last = f"Last-Event-ID: {before['position']} {before['subscription']}"
    with EventStream(f"{ruled.http}/events?tables=note&rows=keys&access_token={ADA}", "-H", last) as stream:
        assert stream.receive()["data"]["recovered"] is False


SEVERAL = [{"tables": ["note"], "rows": "keys"}, {"tables": ["note"], "operations": ["insert"]}]


def test_no_stream_and_no_list_resumes_with_other_rights(ruled, tokens):
    several = urllib.parse.urlencode([("subscription", json.dumps(filter)) for filter in SEVERAL] + [("access_token", ADA)])
    live = urllib.parse.urlencode({"sql": "SELECT id FROM note", "access_token": ADA})
    addresses = [f"{ruled.http}/events?{several}", f"{ruled.http}/live?{live}"]
    ids = []
    for address in addresses:
        with EventStream(address) as stream:
            while stream.last_id is None:
                stream.receive()
            ids.append(stream.last_id)
    with as_user(ruled, ADA) as client:
        before = client.subscribe("tables", subscriptions=SEVERAL)["data"]
    resumed = {"subscriptions": SEVERAL, "since": before["position"], "resumes": before["subscriptions"]}
    with as_user(ruled, ADA) as client:
        assert client.subscribe("tables", **resumed)["data"]["recovered"] is True
        give_ada_other_claims(ruled, tokens, client)
    with as_user(ruled, ADA) as client:
        answer = client.subscribe("tables", **resumed)["data"]
        assert answer["recovered"] is False and answer["reason"] == "other-subscription"
    for address, id in zip(addresses, ids):
        with EventStream(address, "-H", f"Last-Event-ID: {id}") as stream:
            assert stream.receive()["data"]["recovered"] is False


REDEFINITIONS = [
    ["ALTER TABLE note RENAME COLUMN owner TO was", "ALTER TABLE note RENAME COLUMN text TO owner"],
    [
        "CREATE TABLE new (id INTEGER PRIMARY KEY, owner TEXT COLLATE NOCASE, text TEXT, size INTEGER)",
        "INSERT INTO new SELECT * FROM note", "DROP TABLE note", "ALTER TABLE new RENAME TO note",
    ],
]  # fmt: skip


@pytest.mark.parametrize("statements", REDEFINITIONS)
def test_a_condition_with_another_meaning_is_announced(ruled, database, statements):
    """A new definition changes which rows a rule and a `where` select, and no row."""
    with as_user(ruled, ADA) as ada, as_user(ruled, ROOT) as root:
        ada.subscribe("tables", tables=["note"], rows="values")
        root.subscribe("tables", tables=["note"], rows="values", where="owner = 'ada'")
        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute("DROP VIEW counted")
        for view in ("one", "through"):
            connection.execute(f"DROP VIEW {view}")
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
        for client in (ada, root):
            message = client.message("table:modified", where=lambda message: message["data"].get("rowsOmitted"))
            assert message["data"]["tableName"] == "note" and message["data"]["change"] == "rows"
