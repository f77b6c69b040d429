"""Filters: tables, operations and the detail of rows, over WebSocket and event streams."""

import json
import urllib.error
import urllib.request

import pytest

from processes import LIMIT, Command
from sockets import Client

WRITES = [
    "INSERT INTO genre VALUES (90, 'a'), (91, 'b')",
    "UPDATE genre SET name = 'c' WHERE genre_id = 90",
    "UPDATE artist SET name = name || '!' WHERE artist_id = 1",
    # One transaction of all three.
    "DELETE FROM genre WHERE genre_id = 90; INSERT INTO genre VALUES (92, 'd'); UPDATE genre SET name = 'e' WHERE genre_id = 91",
    "CREATE TABLE genre_note(x)",
]


def write(server):
    with Client(server.ws) as client:
        for number, sql in enumerate(WRITES):
            assert client.query(sql, f"w{number}")[1]["type"] == "query:complete"


def gist(message):
    """The type, the table, and the operations on its rows."""
    data = message["data"]
    return message["type"], data["tableName"], [row["op"] for row in data.get("rows", [])]


EXPECTED = {
    "operations=delete": [("table:modified", "genre", ["delete"])],
    "operations=insert,schema": [
        ("table:modified", "genre", ["insert", "insert"]),
        ("table:modified", "genre", ["insert"]),
        ("table:created", "genre_note", []),
    ],
    "tables=art*": [("table:modified", "artist", ["update"])],
    "tables=genre&operations=update": [("table:modified", "genre", ["update"]), ("table:modified", "genre", ["update"])],
}


@pytest.mark.parametrize("query", EXPECTED)
def test_a_subscriber_receives_what_its_filter_matches(server, query):
    fields = dict(field.split("=") for field in query.split("&"))
    with Client(server.ws) as client:
        client.subscribe("tables", rows="keys", **{name: value.split(",") for name, value in fields.items()})
        write(server)
        for expected in EXPECTED[query]:
            message = client.receive()
            assert gist(message) == expected
            assert message["data"]["transaction"]["last"] is True
        client.send("heartbeat", id="end")
        assert client.receive()["type"] == "heartbeat", "nothing else came"


@pytest.mark.parametrize("query", EXPECTED)
def test_an_event_stream_receives_the_same(server, query):
    curl = Command(["curl", "-sN", f"{server.http}/events?channels=tables&rows=keys&{query}"])
    try:
        curl.line("^event: subscribed")
        write(server)
        for expected in EXPECTED[query]:
            assert gist(json.loads(curl.line('^data: .*"table:').removeprefix("data: "))) == expected
    finally:
        curl.kill()


def test_an_event_stream_receives_other_channels(server):
    curl = Command(["curl", "-sN", f"{server.http}/events?channels=queries,notifications"])
    try:
        curl.line("^event: subscribed")
        curl.line("^event: subscribed")
        with Client(server.ws) as client:
            client.query("SELECT 1", "q")
        curl.line("^event: query:started")
        curl.line("^event: query:complete")
        assert "query:rows" not in " ".join(curl.seen)
    finally:
        curl.kill()


@pytest.mark.parametrize(
    ("query", "word"),
    [("channels=weather", "weather"), ("rows=all", "rows"), ("operations=fly", "operation"), ("since=x", "position")],
)
def test_an_address_that_makes_no_sense_is_refused_by_name(server, query, word):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.http}/events?{query}", timeout=LIMIT)
    assert refused.value.code == 400
    assert word in json.loads(refused.value.read())["error"]


def test_an_event_stream_beyond_the_limit_of_connections_gets_retry_after(serve, music):
    server = serve(music, "--max-connections", 1)
    with Client(server.ws):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.http}/events", timeout=LIMIT)
        assert refused.value.code == 503
        assert int(refused.value.headers["Retry-After"]) > 0
