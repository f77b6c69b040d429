"""The first session of a newcomer: three terminals."""

import json

from sockets import Client

SCRIPT = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1,'a'),(2,'b');"
    " UPDATE t SET v='c' WHERE id=2; DELETE FROM t"
)


def test_a_script_in_one_terminal_is_reported_in_another(server, start, run):
    listener = start("listen", server.ws, "--channels", "tables,queries", "--rows", "values", "--json")
    listener.line('"type":"subscribed"')
    listener.line('"type":"subscribed"')

    assert run("query", server.ws, SCRIPT).returncode == 0
    failed = run("query", server.ws, SCRIPT.replace("TABLE t(", "TABLE u(").replace("DELETE FROM t", "DELETE FROM nowhere"))
    assert failed.returncode == 1
    assert "no such table: nowhere" in failed.stderr
    assert run("query", server.ws, "CREATE TABLE fence(x)").returncode == 0
    listener.line('"tableName":"fence"')

    messages = [json.loads(line) for line in listener.seen]
    tables = [m for m in messages if m["channel"] == "tables" and m["type"].startswith("table:")]
    # The rows came and went within the transaction: the net change is the table alone.
    assert [(m["type"], m["data"]["tableName"]) for m in tables[:-1]] == [("table:created", "t")]
    assert tables[0]["data"]["origin"] == "service"
    assert tables[0]["data"]["transaction"] == {"position": tables[0]["position"], "last": True}
    ends = [m["type"] for m in messages if m["type"] in ("query:complete", "query:error")]
    assert ends[:2] == ["query:complete", "query:error"]


def test_each_statement_by_itself_is_a_transaction(server, start, run):
    listener = start("listen", server.ws, "--rows", "values", "--json")
    listener.line('"type":"subscribed"')
    assert run("query", server.ws, "--not-atomic", SCRIPT).returncode == 0
    lines = [json.loads(listener.line('"table:')) for _ in range(4)]
    assert [m["type"] for m in lines] == ["table:created"] + 3 * ["table:modified"]
    rows = [m["data"]["rows"] for m in lines[1:]]
    assert rows[0] == [
        {"op": "insert", "key": {"id": 1}, "rowid": 1, "after": {"id": 1, "v": "a"}},
        {"op": "insert", "key": {"id": 2}, "rowid": 2, "after": {"id": 2, "v": "b"}},
    ]
    assert rows[1] == [
        {"op": "update", "key": {"id": 2}, "rowid": 2, "before": {"id": 2, "v": "b"}, "after": {"id": 2, "v": "c"}}
    ]
    assert sorted(r["key"]["id"] for r in rows[2]) == [1, 2]
    assert {r["op"] for r in rows[2]} == {"delete"}
    sequence = [int(m["position"].split(":")[1]) for m in lines]
    assert sequence == list(range(sequence[0], sequence[0] + 4))


def test_triggers_and_cascades_are_reported_in_one_transaction(server):
    with Client(server.ws) as client:
        client.subscribe("tables", rows="keys")
        # As everywhere in SQLite, foreign keys have to be switched on, and outside of a transaction.
        script = "PRAGMA foreign_keys = ON; DELETE FROM artist WHERE artist_id = 3"
        _, end = client.query(script, "q", atomic=False)
        assert end["type"] == "query:complete"
        assert end["data"]["position"]
        position = end["data"]["position"]
    deleted = {}
    with Client(server.ws) as client:
        client.subscribe("tables", rows="keys", since=before(position))
        while True:
            message = client.message("table:modified")
            data = message["data"]
            assert message["position"] == position
            deleted[data["tableName"]] = data["deleted"]
            if data["transaction"]["last"]:
                break
    assert {"artist", "album", "track", "invoice_line", "playlist_track"} <= set(deleted)
    assert deleted["artist"] == 1
    assert not any(name.startswith("track_search_") for name in deleted), "shadow tables are noise"


def before(position):
    epoch, sequence = position.split(":")
    return f"{epoch}:{int(sequence) - 1}"


def test_the_lines_of_a_listener_are_readable(server, start, run):
    listener = start("listen", server.ws, "--channels", "tables,queries", "--rows", "values", "--tables", "genre")
    listener.error_line("connected to")
    while "changed" not in " ".join(listener.seen):
        run("query", server.ws, "INSERT INTO genre(name) VALUES(hex(randomblob(8)))", "--username", "ada")
    assert "genre" in listener.line("changed")
    assert "\x1b" not in "".join(listener.seen)


def test_commits_of_another_process_are_reported(server, music, shell):
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        shell(music, "INSERT INTO genre VALUES (77, 'Ποίηση')")
        message = client.message("table:modified")
        assert message["data"]["origin"] == "external"
        assert message["data"]["rows"] == [
            {"op": "insert", "key": {"genre_id": 77}, "rowid": 77, "after": {"genre_id": 77, "name": "Ποίηση"}}
        ]


def test_a_file_is_listened_to_without_a_server(start, music, shell):
    listener = start("listen", music, "--rows", "values", "--json")
    listener.error_line("watching")
    shell(music, "BEGIN; INSERT INTO genre VALUES (77, 'a'); ROLLBACK; INSERT INTO genre VALUES (78, 'b'); CREATE VIEW w AS SELECT 1")
    row = json.loads(listener.line('"table:modified"'))
    assert row["data"]["rows"] == [
        {"op": "insert", "key": {"genre_id": 78}, "rowid": 78, "after": {"genre_id": 78, "name": "b"}}
    ]
    view = json.loads(listener.line('"table:created"'))
    assert (view["data"]["tableName"], view["data"]["objectType"]) == ("w", "view")
    assert int(view["position"].split(":")[1]) == int(row["position"].split(":")[1]) + 1


def test_a_file_that_is_not_there_cannot_be_listened_to(run, tmp_path):
    assert run("listen", tmp_path / "none.db").returncode == 66
    text = tmp_path / "text"
    text.write_text("no database, but long enough for a header")
    assert run("listen", text).returncode == 65
    assert run("listen", text, "--since", "e:1").returncode == 64
