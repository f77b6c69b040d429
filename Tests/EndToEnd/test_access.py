"""Access control, with the real binary: tokens, roles, tables, channels."""

import json
import signal
import sqlite3
import urllib.error
import urllib.parse
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from contract import check_schema
from processes import LIMIT, write_tokens
from sockets import Client, EventStream

ADMIN, ADA, EVE, GENRE = ("admin-" + 20 * "x", "ada-" + 20 * "x", "eve-" + 20 * "x", "genre-" + 20 * "x")
TOKENS = [
    {"token": ADMIN, "role": "admin"},
    {"token": ADA, "role": "read-write", "username": "ada"},
    {"token": EVE, "username": "eve"},
    {"token": GENRE, "role": "read-write", "username": "gil", "tables": ["genre"]},
]


@pytest.fixture
def tokens(tmp_path):
    return write_tokens(tmp_path / "tokens.json", TOKENS)


@pytest.fixture
def guarded(serve, music, tokens):
    return serve(music, "--tokens", tokens)


def bearer(token):
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def ask(server, path, token=None, body=None, method=None, headers=()):
    """Status, headers and body of a request, whatever the status."""
    request = urllib.request.Request(server.http + path, method=method, data=body if body is None else json.dumps(body).encode())
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    for name, value in headers:
        request.add_header(name, value)
    try:
        response = urllib.request.urlopen(request, timeout=LIMIT)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, response.headers, response.read().decode()


def refused(server, query="", **options):
    with pytest.raises(InvalidStatus) as caught:
        connect(server.ws + query, open_timeout=LIMIT, **options)
    return caught.value.response


def closed(server, query="", **options):
    """The close frame of a connection that is opened and closed at once, which is how a page learns the reason."""
    with connect(server.ws + query, open_timeout=LIMIT, origin=server.http, **options) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=LIMIT)
    return caught.value.rcvd


@pytest.mark.parametrize("path", ["/tables", "/tables/genre", "/events", "/status", "/metrics"])
def test_without_a_token_no_data_is_sent(guarded, path):
    for token in (None, "wrong-" + 20 * "x", ADMIN[:-1], ADMIN + "x"):
        status, headers, body = ask(guarded, path, token)
        assert status == 401
        assert headers["WWW-Authenticate"].startswith('Bearer realm="tablecast"')
        assert check_schema("Failure", json.loads(body))["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("path", ["/query", "/query/q/cancel", "/broadcast"])
def test_without_a_token_nothing_is_done(guarded, path):
    assert ask(guarded, path, body={"sql": "SELECT 1", "data": {}})[0] == 401


@pytest.mark.parametrize("path", ["/", "/tablecast.js", "/asyncapi.yaml", "/health", "/ready"])
def test_what_holds_no_data_asks_for_no_token(guarded, path):
    assert ask(guarded, path)[0] == 200


def test_a_program_without_a_valid_token_is_refused_with_401(guarded):
    for response in (refused(guarded), refused(guarded, **bearer("nobody's-" + 20 * "x"))):
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused(guarded, f"?access_token={ADA}", **bearer(ADA)).status_code == 400


def test_a_page_without_a_valid_token_is_closed_with_4401(guarded):
    assert closed(guarded).code == 4401
    assert closed(guarded, "?access_token=wrong").code == 4401


def test_a_page_that_asks_for_too_much_is_closed_with_4403(guarded):
    frame = closed(guarded, f"?access_token={GENRE}&channels=queries")
    assert frame.code == 4403
    assert "queries" in frame.reason
    assert refused(guarded, "?channels=queries", **bearer(GENRE)).status_code == 403


def test_a_token_comes_in_the_header_or_the_address(guarded):
    with Client(guarded.ws, **bearer(ADA)) as client:
        assert client.query("SELECT 1 AS one", "q")[0]
    with Client(f"{guarded.ws}?access_token={ADA}", origin=guarded.http) as client:
        assert client.query("SELECT 1 AS one", "q")[0]
    assert ask(guarded, f"/tables?access_token={ADA}")[0] == 200


def test_tokens_are_never_logged(serve, music, tokens):
    server = serve(music, "--tokens", tokens, "--log-level", "trace")
    secret = "wrong-secret-" + 20 * "y"
    for token in (ADA, secret):
        ask(server, f"/tables?access_token={token}")
        ask(server, "/tables", token)
        ask(server, f"/nowhere?access_token={token}")
        ask(server, f"/events?channels=nonsense&access_token={token}")
    with Client(f"{server.ws}?access_token={ADA}", origin=server.http):
        pass
    refused(server, f"?access_token={secret}")
    server.stop(signal.SIGTERM)
    printed = "\n".join(server.seen + server.errors)
    assert ADA not in printed and secret not in printed


def test_a_reader_reads(guarded):
    with Client(guarded.ws, **bearer(EVE)) as client:
        assert client.query("SELECT count(*) AS n FROM genre", "q")[1]["type"] == "query:complete"
        for sql in ("INSERT INTO genre VALUES (90, 'x')", "CREATE TABLE t(a)", "PRAGMA user_version = 5"):
            _, end = client.query(sql, "w")
            assert (end["type"], end["data"]["code"]) == ("query:error", "READ_ONLY"), end
    status, _, body = ask(guarded, "/query", EVE, {"sql": "DELETE FROM genre"})
    assert (status, json.loads(body)["code"]) == (403, "READ_ONLY")


def test_settings_of_the_file_are_for_administrators(guarded):
    for token, expected in ((ADA, "NOT_AUTHORIZED"), (ADMIN, None)):
        with Client(guarded.ws, **bearer(token)) as client:
            _, end = client.query("PRAGMA wal_checkpoint(PASSIVE)", "q")
            assert end["data"].get("code") == expected, end


def test_broadcasting_is_for_administrators(guarded):
    message = {"type": "chat:message", "data": {"text": "hi"}}
    with Client(guarded.ws, **bearer(EVE)) as client:
        status, headers, body = ask(guarded, "/broadcast", ADA, message)
        assert status == 403
        assert "insufficient_scope" in headers["WWW-Authenticate"]
        assert "admin" in json.loads(body)["error"] and "read-write" in json.loads(body)["error"]
        assert ask(guarded, "/broadcast", ADMIN, message)[0] == 202
        assert json.loads(client.socket.recv(timeout=LIMIT))["data"] == {"text": "hi"}


FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_others_queries_are_cancelled_by_administrators_alone(guarded):
    with Client(guarded.ws, **bearer(ADA)) as ada, Client(guarded.ws, **bearer(EVE)) as eve:
        ada.send("query:execute", sql=FOREVER, queryId="slow")
        ada.message("query:started")
        eve.send("query:cancel", id="c", queryId="slow")
        error = eve.message("error")["data"]
        assert error["code"] == "FORBIDDEN" and "admin" in error["message"]
        assert ask(guarded, "/query/slow/cancel", EVE, {})[0] == 403
        assert ask(guarded, "/query/slow/cancel", ADMIN, {})[0] == 202
        assert ada.message("query:cancelled")["data"]["reason"] == "client"
        # The owner may from anywhere.
        ada.send("query:execute", sql=FOREVER, queryId="slow")
        ada.message("query:started")
        assert ask(guarded, "/query/slow/cancel", ADA, {})[0] == 202
        ada.message("query:cancelled")


def test_a_list_of_tables_holds_on_every_road(guarded):
    with Client(guarded.ws, **bearer(GENRE)) as client:
        assert client.query("SELECT name FROM genre LIMIT 1", "q")[0]
        for sql in (
            "SELECT * FROM artist", "SELECT * FROM best_sellers", "SELECT sql FROM sqlite_schema",
            "INSERT INTO artist (name) VALUES ('x')", "CREATE TABLE t(a)", "PRAGMA table_list",
            "SELECT g.name, (SELECT count(*) FROM artist) FROM genre AS g",
        ):  # fmt: skip
            _, end = client.query(sql, "w")
            assert (end["type"], end["data"]["code"]) == ("query:error", "NOT_AUTHORIZED"), (sql, end)
        for data in ({"tables": ["artist"]}, {"tables": ["a*"]}, {"tables": ["artist"], "snapshot": True}):
            client.send("subscribe", channel="tables", id="s", **data)
            assert client.message("error")["data"]["code"] == "FORBIDDEN"
        client.subscribe("tables", rows="values")
        with Client(guarded.ws, **bearer(ADA)) as ada:
            ada.query("INSERT INTO artist (artist_id, name) VALUES (900, 'secret')", "a")
            ada.query("INSERT INTO genre VALUES (90, 'open')", "b")
        assert client.message("table:modified")["data"]["tableName"] == "genre"
        client.send("subscribe", channel="tables", id="s", snapshot=True)
        assert client.message("table:snapshot")["data"]["tableName"] == "genre"
        client.send("subscribe", channel="queries", id="s")
        assert client.message("error", where=lambda m: m.get("replyTo") == "s")["data"]["code"] == "FORBIDDEN"
    assert [table["name"] for table in json.loads(ask(guarded, "/tables", GENRE)[2])["tables"]] == ["genre"]
    assert ask(guarded, "/tables/genre", GENRE)[0] == 200
    status, _, body = ask(guarded, "/tables/artist", GENRE)
    assert status == 403 and '"artist"' in json.loads(body)["error"]
    assert ask(guarded, "/events?tables=artist", GENRE)[0] == 403


def test_a_token_names_its_user(guarded):
    with Client(guarded.ws, **bearer(EVE)) as eve:
        eve.subscribe("collaboration")
        with Client(guarded.ws + "?username=root", **bearer(ADA)) as ada:
            assert eve.message("user:joined")["data"]["username"] == "ada"
            ada.send("user:identify", id="i", username="root")
            error = ada.message("error")
            assert (error["data"]["code"], error["replyTo"]) == ("FORBIDDEN", "i")
            ada.send("user:identify", id="i", username="ada")
    with Client(guarded.ws + "?username=root", **bearer(ADMIN)) as client:
        # A token without a name leaves it to the client.
        client.subscribe("queries")
        client.send("query:execute", sql="SELECT 1", queryId="q")
        assert client.message("query:started")["data"]["username"] == "root"


def test_the_commands_take_a_token_from_the_environment(guarded, run, start):
    failure = run("query", guarded.ws, "SELECT 1")
    assert failure.returncode == 77 and "TABLECAST_TOKEN" in failure.stderr
    assert run("query", guarded.ws, "SELECT 41 + 1", env={"TABLECAST_TOKEN": ADA}).stdout.strip().endswith("42")
    assert run("query", guarded.ws, "--token", ADA, "SELECT 1").returncode == 0
    assert run("query", guarded.ws, "--token", "a b", "SELECT 1").returncode == 64
    listener = start("listen", guarded.ws, "--json", env={"TABLECAST_TOKEN": EVE})
    listener.error_line("connected")
    run("query", guarded.ws, "INSERT INTO genre VALUES (91, 'x')", env={"TABLECAST_TOKEN": ADA})
    assert "table:modified" in listener.line("table:modified")


def test_one_token_a_role_comes_from_the_environment(serve, music):
    server = serve(music, env={"TABLECAST_READ_ONLY_TOKEN": EVE, "TABLECAST_ADMIN_TOKEN": ADMIN})
    assert ask(server, "/tables")[0] == 401
    assert ask(server, "/query", EVE, {"sql": "DELETE FROM genre"})[0] == 403
    assert ask(server, "/broadcast", ADMIN, {"data": {}})[0] == 202


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "token file"), ("[]", "the array is empty"), ('[{"token": "short"}]', "16"),
        (f'[{{"token": "{ADA}", "role": "root"}}]', "role"), (f'[{{"token": "{ADA}", "table": []}}]', '"table"'),
        (f'[{{"token": "{ADA}",\n "tables": ["genre"], "tables": null}}]', 'line 2, column 23: duplicate field "tables"'),
        (f'[{{"token": "{ADA}", "t\\u006fken": "{EVE}"}}]', 'duplicate field "token"'),
        (f'[{{"token": "{ADA}"}}, {{"token": "{ADA}"}}]', "entry 2: token: duplicate token"),
        ('[{"token": ""}]', "expected 16 to 4096 bytes, found 0"), ('[{"token": "a token with white space"}]', "without spaces"),
        ('[{"token": " aaaaaaaaaaaaaaaaaaaaaaaa"}]', "without spaces"), ('[{"role": "admin"}]', "expected an object with a token"),
        (f'[{{"token": "{ADA}", "tables": "genre"}}]', "tables: expected an array"), (f'[{{"token": "{ADA}", "username": ""}}]', "username"),
        (f'[{{"token": "{ADA}"}}] x', "line 1, column"),
    ],
)  # fmt: skip
def test_a_wrong_token_file_is_refused(run, music, tokens, content, words):
    tokens.write_text(content)
    result = run("serve", music, "--port", 0, "--tokens", tokens)
    assert result.returncode == 64 and words in result.stderr and ADA not in result.stderr


@pytest.mark.parametrize("role", ["READ_ONLY", "READ_WRITE", "ADMIN"])
@pytest.mark.parametrize("token, word", [("", "is set and empty"), ("  ", "2"), ("short", "5"), (20 * "a" + " b", "without spaces")])
def test_a_token_in_the_environment_that_is_none_is_refused(run, music, tokens, role, token, word):
    name = f"TABLECAST_{role}_TOKEN"
    for options in ([], ["--tokens", tokens], ["--allow-anonymous"]):
        result = run("serve", music, "--port", 0, *options, env={name: token})
        assert result.returncode == 64, result
        if "--allow-anonymous" not in options:
            assert name in result.stderr and word in result.stderr


def test_a_missing_token_file_is_refused(run, music, tmp_path):
    assert run("serve", music, "--tokens", tmp_path / "none.json").returncode == 66


def test_a_token_file_that_others_can_read_is_said(serve, music, tokens):
    tokens.chmod(0o644)
    server = serve(music, "--tokens", tokens)
    assert "chmod 600 it" in server.error_line("warning")


def test_tokens_and_allow_anonymous_are_exclusive(run, music, tokens):
    result = run("serve", music, "--tokens", tokens, "--allow-anonymous")
    assert result.returncode == 64 and "cannot be combined with tokens" in result.stderr


def test_anonymous_access_on_a_public_address_is_a_warning(serve, music, tokens):
    server = serve(music, "--host", "0.0.0.0", "--allow-anonymous")
    assert "any client that can reach" in server.error_line("warning")
    # With tokens it needs no leave.
    server = serve(music, "--host", "0.0.0.0", "--tokens", tokens)
    assert any("token required" in line for line in [*server.seen, server.line("access")])


def test_an_event_stream_takes_its_token_from_the_address(guarded):
    query = urllib.parse.urlencode({"channels": "tables,queries", "rows": "values", "access_token": EVE})
    with EventStream(f"{guarded.http}/events?{query}") as events:
        events.message("subscribed")
        events.message("subscribed")
        ask(guarded, "/query", ADA, {"sql": "INSERT INTO genre VALUES (92, 'x')"})
        awaited = {"query:started", "query:complete", "table:modified"}
        while awaited:
            message = events.receive()
            awaited.discard(message["type"])
            assert message["data"].get("username", "ada") == "ada"


LONG = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000) SELECT max(x) FROM c"


def test_the_queries_of_an_identity_have_limited_time(serve, tmp_path):
    path = tmp_path / "tokens.json"
    write_tokens(path, [{"token": f"{name}-{20 * 'x'}", "role": "read-write", "username": name} for name in ("ada", "bob")])
    limits = ("--limit", "query.maxTimePerSecondOfIdentity=1ms", "--limit", "query.maxTimeBurstOfIdentity=1ms")
    sqlite3.connect(tmp_path / "t.db").execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    server = serve(tmp_path / "t.db", "--tokens", path, *limits)
    with Client(server.ws, **bearer(f"ada-{20 * 'x'}")) as ada, Client(server.ws, **bearer(f"bob-{20 * 'x'}")) as bob:
        assert ada.query(LONG, "long")[1]["type"] == "query:complete"
        error = ada.query("SELECT 1", "next")[1]
        assert error["type"] == "query:error" and error["data"]["code"] == "RATE_LIMITED" and error["data"]["retryAfter"] > 1, error
        ada.send("row:write", id="w", table="t", op="insert")
        error = ada.message("error")["data"]
        assert error["code"] == "RATE_LIMITED" and error["details"]["retryAfter"] > 1
        status, headers, body = ask(server, "/query", f"ada-{20 * 'x'}", {"sql": "SELECT 1"})
        assert status == 429 and int(headers["Retry-After"]) >= 1 and json.loads(body)["retryAfter"] > 1
        assert ask(server, "/row", f"ada-{20 * 'x'}", {"table": "t", "op": "insert"})[0] == 429
        assert bob.query("SELECT 1", "other")[1]["type"] == "query:complete"
