"""Writing one row by its key, from two clients and another process at once."""

import json
import socket
import time
import urllib.error
import urllib.request

from contract import check_schema
from processes import LIMIT, write_tokens
from sockets import Client

TOKENS = [
    {"token": "reader-" + 20 * "x", "role": "read-only"},
    {"token": "writer-" + 20 * "x", "role": "read-write", "tables": ["genre"]},
]


def write(client, **data):
    """The answer to `row:write`: `row:written` or `error`."""
    client.send("row:write", id="w", **data)
    client.passed = []
    while True:
        message = client.receive()
        if message.get("replyTo") == "w":
            if message["type"] == "error":
                check_schema("RowWriteFailure", message["data"].get("details", {}))
            return message
        client.passed.append(message)


def change_of(client):
    """What a write before it has changed: it comes before the answer or after it."""
    passed = [message for message in client.passed if message["type"] == "table:modified"]
    return passed[0] if passed else client.message("table:modified")


def post(server, token=None, **data):
    """The status and the body of `POST /row`."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{server.http}/row", json.dumps(data).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            return response.status, check_schema("RowWritten", json.loads(response.read()))
    except urllib.error.HTTPError as answer:
        with answer:
            body = json.loads(answer.read())
            return answer.code, check_schema("RowWriteFailure", check_schema("Failure", body))


def test_a_row_is_not_written_when_its_client_has_gone_before(server, music):
    with Client(server.ws) as holder:
        holder.query("BEGIN IMMEDIATE", "begin")
        row = {"table": "genre", "op": "update", "key": {"genre_id": 1}, "values": {"name": "too late"}, "queryId": "left"}
        body = json.dumps(row).encode()
        head = f"POST /row HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nContent-Length: {len(body)}\r\n\r\n"
        with Client(server.ws) as watcher:
            watcher.subscribe("queries")
            with socket.create_connection((server.host, server.port), timeout=LIMIT) as left:
                left.sendall(head.encode() + body)
                # The query waits for the holder's transaction from then on.
                deadline = time.monotonic() + LIMIT
                while "\ntablecast_queries_active 1\n" not in server.metrics():
                    assert time.monotonic() < deadline
            watcher.message("query:cancelled", where=lambda m: m["data"]["queryId"] == "left")
            holder.query("COMMIT", "commit")
            assert watcher.query("SELECT name FROM genre WHERE genre_id = 1", "look")[0] != [{"name": "too late"}]


def test_who_comes_second_is_shown_what_the_first_wrote(server, music, shell):
    with Client(server.ws) as ada, Client(server.ws) as grace:
        ada.subscribe("tables", rows="values")
        mine = write(ada, table="genre", op="update", key={"genre_id": 1}, before={"name": "Folk"}, values={"name": "Folk by Ada"})
        assert (mine["type"], mine["data"]["row"]) == ("row:written", {"genre_id": 1, "name": "Folk by Ada"})
        change = change_of(ada)
        assert change["position"] == mine["data"]["position"]
        assert change["data"]["queryId"] == mine["data"]["queryId"]

        theirs = write(grace, table="genre", op="update", key={"genre_id": 1}, before={"name": "Folk"}, values={"name": "Folk by Grace"})
        assert theirs["data"]["code"] == "CONFLICT"
        assert theirs["data"]["details"]["row"] == {"genre_id": 1, "name": "Folk by Ada"}

        shell(music, "DELETE FROM genre WHERE genre_id = 1")
        gone = write(grace, table="genre", op="delete", key={"genre_id": 1}, before={"name": "Folk by Ada"})
        assert gone["data"]["details"]["row"] is None


def test_a_change_message_can_be_sent_back_to_undo_it(server):
    with Client(server.ws) as client:
        client.query("CREATE TABLE loose(k TEXT PRIMARY KEY, v REAL, b BLOB)", "q")
        client.subscribe("tables", rows="values", tables=["loose"])
        write(client, table="loose", op="insert", values={"v": 3.0, "b": {"$base64": "AP8="}})
        [inserted] = change_of(client)["data"]["rows"]
        seen = {"key": inserted["key"], "rowid": inserted["rowid"]}
        updated = write(client, table="loose", op="update", **seen, before=inserted["after"], values={"v": 9007199254740993})
        assert updated["data"]["row"]["v"] == 9007199254740992.0  # the column is REAL
        [change] = change_of(client)["data"]["rows"]
        deleted = write(client, table="loose", op="delete", **seen, before=change["after"])
        assert deleted["data"]["row"] is None
        [change] = change_of(client)["data"]["rows"]
        restored = write(client, table="loose", op="insert", rowid=change["rowid"], values=change["before"])
        assert restored["data"]["rowid"] == inserted["rowid"]
        assert restored["data"]["row"] == change["before"]


def test_others_see_it_as_a_query(server):
    with Client(server.ws) as client, Client(server.ws) as other:
        other.subscribe("queries")
        written = write(client, table="genre", op="insert", values={"name": "Skronk"}, queryId="mine")
        assert written["data"]["changes"] == 1
        started = other.message("query:started")["data"]
        assert (started["queryId"], started["sql"]) == ("mine", 'INSERT INTO "genre" ("name") VALUES (?)')
        assert other.message("query:complete")["data"]["position"] == written["data"]["position"]


def test_a_row_is_written_over_http(server):
    status, written = post(server, table="genre", op="insert", values={"name": "Skronk"})
    assert (status, written["row"]["name"], written["rowid"]) == (200, "Skronk", written["row"]["genre_id"])
    status, conflict = post(server, table="genre", op="delete", key={"genre_id": written["rowid"]}, before={"name": "Skronk!"})
    assert (status, conflict["code"], conflict["row"]["name"]) == (409, "CONFLICT", "Skronk")
    assert post(server, table="genre", op="insert", values={"genre_id": 1})[0] == 409
    assert post(server, table="best_sellers", op="delete", rowid=1)[1]["code"] == "SQL_ERROR"
    assert post(server, table="genre", op="delete")[1]["error"].startswith("key: expected an object")


def test_a_name_does_not_end_at_a_zero_byte(server):
    status, refusal = post(server, table="genre\0more", op="delete", key={"genre_id": 1})
    assert (status, refusal["code"]) == (400, "SQL_ERROR") and "no such table" in refusal["error"]


def test_only_who_may_write_a_table_writes_its_rows(serve, music, tmp_path):
    tokens = tmp_path / "tokens.json"
    write_tokens(tokens, TOKENS)
    server = serve(music, "--tokens", tokens)
    reader, writer = (token["token"] for token in TOKENS)
    row = {"table": "genre", "op": "update", "key": {"genre_id": 1}, "before": {"name": "?"}, "values": {"name": "x"}}
    status, refusal = post(server, reader, **row)
    assert (status, refusal["code"], "row" in refusal) == (403, "READ_ONLY", False)
    assert post(server, writer, **{**row, "before": {}})[0] == 200
    for table in ("artist", "no such table"):
        status, refusal = post(server, writer, **{**row, "table": table})
        assert (status, refusal["code"], "row" in refusal) == (403, "NOT_AUTHORIZED", False)
    assert post(server, **row)[0] == 401
    for token, may_write in ((reader, False), (writer, True)):
        with Client(f"{server.ws}?access_token={token}") as client:
            assert ("write" in client.acknowledgement["data"]["serverInfo"]["capabilities"]) == may_write
