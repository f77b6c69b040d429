"""The life of a token and of its connections: expiry, renewal in place, and what an administrator sees and ends."""

import json
import signal
import time

import pytest
from websockets.exceptions import ConnectionClosed

from contract import check_schema
from issuer import Key, claims, publishing, token
from processes import LIMIT, write_tokens
from sockets import Client, EventStream
from test_access import ADA, ADMIN, EVE, FOREVER, GENRE, ask, bearer, closed, guarded, refused, tokens  # noqa: F401

KEY = Key("ES256", "one")


@pytest.fixture
def issuer():
    with publishing(KEY) as issuer:
        yield issuer


@pytest.fixture
def signed(serve, music, issuer):
    return serve(music, "--jwt-keys", issuer.url, "--jwt-audience", "tablecast", "--jwt-leeway", "0")


def made(lasts=600, **fields):
    return token(KEY, claims(exp=time.time() + lasts, **fields))


def milliseconds(lasts):
    return (time.time() + lasts) * 1000


def renew(client, text, id="r"):
    client.send("token:renew", id=id, token=text)
    while True:
        message = client.receive()
        if message.get("replyTo") == id:
            return message


def closing(client, since=None):
    """The code with which the server closes; the messages before it are read."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.receive()
    return caught.value.rcvd.code


def listed(server, who=ADMIN):
    status, _, body = ask(server, "/clients", who)
    assert status == 200
    return check_schema("ClientList", json.loads(body))["clients"]


@pytest.mark.parametrize("lasts", [2])
def test_a_connection_goes_on_with_another_token(signed, lasts):
    with Client(signed.ws, **bearer(made(lasts))) as client:
        data = client.acknowledgement["data"]
        assert "renew" in data["serverInfo"]["capabilities"]
        try:
            client.subscribe("tables", rows="values")
            client.send("query:execute", sql=FOREVER, queryId="slow")
            client.message("query:started")
            answer = renew(client, made(600))
        except ConnectionClosed:
            # The machine was too slow for this token.
            assert lasts < 60
            return test_a_connection_goes_on_with_another_token(signed, lasts * 3)
        assert answer["type"] == "token:renewed" and abs(answer["data"]["expiresAt"] - milliseconds(600)) < 60_000
        # The first token expires, which no event reports: its query and its subscription go on.
        time.sleep(max(0, data["expiresAt"] / 1000 + 0.3 - time.time()))
        client.send("query:cancel", queryId="slow")
        assert client.message("query:cancelled")["data"]["reason"] == "client"


def test_an_expired_connection_is_closed_in_time(signed):
    with Client(signed.ws, **bearer(made(600))) as client:
        # A shorter life counts as well.
        assert renew(client, made(1.5))["type"] == "token:renewed"
        assert closing(client) == 4401
        assert time.time() < client.acknowledgement["data"]["expiresAt"] / 1000


@pytest.mark.parametrize(
    "name, make, code, word",
    [
        ("unknown", lambda: "unknown-" + 20 * "x", "UNAUTHORIZED", "JSON Web Token"),
        ("expired", lambda: made(-1), "UNAUTHORIZED", "expired"),
        ("of another user", lambda: made(sub="eve"), "FORBIDDEN", "same identity"),
        ("of another name", lambda: made(tablecast={"username": "bob"}), "FORBIDDEN", "username"),
        ("empty", lambda: "", "INVALID_MESSAGE", "token"),
        ("too long", lambda: 17_000 * "x", "INVALID_MESSAGE", "16384"),
        ("a number", lambda: 5, "INVALID_MESSAGE", "string"),
    ],
)
def test_a_token_that_is_refused_changes_nothing(signed, name, make, code, word):
    with Client(signed.ws, **bearer(made())) as client:
        client.subscribe("tables")
        error = renew(client, make())
        assert (error["type"], error["data"]["code"]) == ("error", code) and word in error["data"]["message"]
        assert client.query("SELECT 1", "q")[1]["type"] == "query:complete"
        assert renew(client, made(), "again")["type"] == "token:renewed"


def test_other_rights_end_the_connection_that_has_the_old_ones(signed):
    wide = {"role": "read-write", "username": "ada"}
    for change in ({"role": "read-only"}, {"tables": ["genre"]}, {"channels": ["tables"]}, {"role": "admin"}):
        with Client(signed.ws, **bearer(made(tablecast=wide))) as client:
            client.subscribe("tables")
            client.query("BEGIN", "b")
            client.query("UPDATE genre SET name = 'lost' WHERE genre_id = 1", "u")
            assert renew(client, made(tablecast=wide | change))["type"] == "token:renewed"
            assert closing(client) == 1001
    with Client(signed.ws, **bearer(made())) as client:
        assert client.query("SELECT count(*) AS n FROM genre WHERE name = 'lost'", "q")[0] == [{"n": 0}]


def test_the_last_token_counts_when_tokens_are_read_again(signed, issuer):
    other = Key("ES256", "two")
    issuer.publish(KEY, other)
    signed.signal(signal.SIGHUP)
    signed.error_line("reloaded the tokens")
    assert ask(signed, "/tables", token(other))[0] == 200
    with Client(signed.ws, **bearer(made())) as stays, Client(signed.ws, **bearer(made())) as ends:
        assert renew(stays, token(other))["type"] == "token:renewed"
        # The first key is withdrawn.
        issuer.publish(other)
        signed.signal(signal.SIGHUP)
        assert closing(ends) == 4401
        assert stays.query("SELECT 1", "q")[1]["type"] == "query:complete"


def test_a_listed_token_is_renewed_by_one_of_the_same_user(serve, music, tmp_path):
    path = tmp_path / "tokens.json"
    first, second, other = (f"{name}-" + 20 * "x" for name in ("first", "second", "other"))
    users = [{"token": first, "username": "ada"}, {"token": second, "username": "ada"}, {"token": other}]
    write_tokens(path, users)
    server = serve(music, "--tokens", path)
    with Client(server.ws, **bearer(first)) as client:
        assert "expiresAt" not in client.acknowledgement["data"]
        assert renew(client, other)["data"]["code"] == "FORBIDDEN"
        assert renew(client, second)["data"] == {}
        # The first is removed.
        path.write_text(json.dumps(users[1:]))
        server.signal(signal.SIGHUP)
        server.error_line("reloaded the tokens")
        assert ask(server, "/tables", first)[0] == 401
        assert client.query("SELECT 1", "q")[1]["type"] == "query:complete"


def test_without_tokens_there_is_none_to_renew(server):
    with Client(server.ws) as client:
        assert "renew" not in client.acknowledgement["data"]["serverInfo"]["capabilities"]
        assert renew(client, "x")["data"]["code"] == "FORBIDDEN"


def test_a_renewed_token_is_never_logged(serve, music, tokens):  # noqa: F811
    server = serve(music, "--tokens", tokens, "--log-level", "trace")
    secret = "wrong-secret-" + 20 * "y"
    with Client(server.ws, **bearer(EVE)) as client:
        assert renew(client, secret)["data"]["code"] == "UNAUTHORIZED"
        assert renew(client, EVE)["type"] == "token:renewed"
    server.stop(signal.SIGTERM)
    printed = "\n".join(server.seen + server.errors)
    assert secret not in printed and EVE not in printed


def test_an_administrator_sees_the_clients(guarded):  # noqa: F811
    with Client(guarded.ws + "?channels=queries", **bearer(ADA)) as ada, EventStream(f"{guarded.http}/events?access_token={EVE}") as events:
        events.message("subscribed")
        ada.subscribe("tables", tables=["genre"])
        ada.subscribe("tables", tables=["artist"])
        ada.send("query:subscribe", id="l", sql="SELECT * FROM genre")
        ada.message("query:subscribed")
        ada.send("query:execute", sql=FOREVER, queryId="slow")
        ada.message("query:started")
        socket, stream = listed(guarded)
        assert socket["id"] == ada.acknowledgement["data"]["clientId"]
        assert abs(socket["since"] - milliseconds(0)) < 60_000
        expected = {
            "transport": "websocket", "identity": "user ada", "username": "ada", "role": "read-write", "address": "127.0.0.1",
            "channels": ["queries", "tables", "notifications"], "subscriptions": 2, "liveQueries": 1, "queries": 1,
        }  # fmt: skip
        assert {name: value for name, value in socket.items() if name not in ("id", "since")} == expected
        assert (stream["transport"], stream["username"], stream["channels"]) == ("stream", "eve", ["tables"])
        ada.send("unsubscribe", channel="queries", id="u")
        ada.message("unsubscribed")
        ada.send("query:cancel", queryId="slow")
        ada.message("query:cancelled")
        assert listed(guarded)[0]["channels"] == ["tables", "notifications"] and listed(guarded)[0]["queries"] == 0
    deadline = time.monotonic() + LIMIT
    while listed(guarded):
        assert time.monotonic() < deadline


def test_an_administrator_ends_a_connection(guarded):  # noqa: F811
    with Client(guarded.ws, **bearer(ADA)) as ada, Client(guarded.ws, **bearer(EVE)) as eve:
        ada.query("BEGIN", "b")
        ada.query("UPDATE genre SET name = 'lost' WHERE genre_id = 1", "u")
        assert ask(guarded, f"/clients/{ada.acknowledgement['data']['clientId']}", ADMIN, method="DELETE")[0] == 202
        assert closing(ada) == 4403
        rows, _ = eve.query("SELECT count(*) AS n FROM genre WHERE name = 'lost'", "q")
        assert rows == [{"n": 0}]
        with EventStream(f"{guarded.http}/events?access_token={EVE}") as events:
            events.message("subscribed")
            assert ask(guarded, f"/clients/{listed(guarded)[-1]['id']}", ADMIN, method="DELETE")[0] == 202
            assert events.message("error")["data"]["code"] == "FORBIDDEN"
        assert eve.query("SELECT 1", "q2")[1]["type"] == "query:complete"
    status, _, body = ask(guarded, "/clients/nobody", ADMIN, method="DELETE")
    assert (status, json.loads(body)["code"]) == (404, "CLIENT_NOT_FOUND")


def test_clients_are_listed_and_ended_by_administrators_alone(guarded):  # noqa: F811
    for who, expected in ((None, 401), (EVE, 403), (ADA, 403), (GENRE, 403)):
        assert ask(guarded, "/clients", who)[0] == expected
        # Whether or not such a client exists.
        assert ask(guarded, "/clients/nobody", who, method="DELETE")[0] == expected
    assert ask(guarded, "/clients", ADMIN, body={})[0] == 405
    origin = [("Origin", guarded.http), ("Access-Control-Request-Method", "DELETE")]
    _, headers, _ = ask(guarded, "/clients/x", method="OPTIONS", headers=origin)
    assert "DELETE" in headers["Access-Control-Allow-Methods"]


def test_an_identity_has_so_many_connections(serve, music, tokens):  # noqa: F811
    server = serve(music, "--tokens", tokens, "--limit", "clients.maxConnectionsOfIdentity=2")
    with Client(server.ws, **bearer(ADA)) as first, EventStream(f"{server.http}/events?access_token={ADA}") as events:
        events.message("subscribed")
        response = refused(server, **bearer(ADA))
        assert response.status_code == 429 and response.headers["Retry-After"]
        assert closed(server, f"?access_token={ADA}").code == 4429
        for path in ("/events", "/live?sql=SELECT%201"):
            status, headers, body = ask(server, path, ADA)
            assert (status, json.loads(body)["code"]) == (429, "RATE_LIMITED") and headers["Retry-After"]
        # Another identity has its own; requests are none.
        with Client(server.ws, **bearer(EVE)):
            assert ask(server, "/tables", ADA)[0] == 200
        first.close()
        deadline = time.monotonic() + LIMIT
        while len(listed(server)) > 1:
            assert time.monotonic() < deadline
        Client(server.ws, **bearer(ADA)).close()


def test_without_tokens_an_address_has_so_many_connections(serve, music):
    server = serve(music, "--limit", "clients.maxConnectionsOfIdentity=1")
    with Client(server.ws):
        assert refused(server).status_code == 429
